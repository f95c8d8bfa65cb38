-- How campaigns were used. Grain: workspace_id, campaign_id. Reads: core.campaigns, core.campaign_targets,
-- core.coupon_redemptions. Owner: marketing.
CREATE OR REPLACE VIEW lake_admin.marts.campaign_redemption SECURITY DEFINER AS
WITH addressed AS (
    SELECT workspace_id, campaign_id, count(*) AS members
    FROM lake.core.campaign_targets
    GROUP BY workspace_id, campaign_id
),
redeemed AS (
    SELECT workspace_id, campaign_id, count(*) AS redemptions, count(DISTINCT subject_token) AS members
    FROM lake.core.coupon_redemptions
    GROUP BY workspace_id, campaign_id
)
SELECT
    campaign.workspace_id,
    campaign.campaign_id,
    campaign.campaign_type,
    campaign.start_date,
    campaign.end_date,
    coalesce(addressed.members, 0) AS members_addressed,
    coalesce(redeemed.members, 0) AS members_redeeming,
    coalesce(redeemed.redemptions, 0) AS redemptions
FROM lake.core.campaigns AS campaign
LEFT JOIN addressed
    ON addressed.workspace_id = campaign.workspace_id AND addressed.campaign_id = campaign.campaign_id
LEFT JOIN redeemed
    ON redeemed.workspace_id = campaign.workspace_id AND redeemed.campaign_id = campaign.campaign_id
