-- Campaign redemption: addressed members who redeemed a coupon of the campaign
WITH addressed AS (
    SELECT campaign_id, count(DISTINCT subject_token) AS members FROM lake.core.campaign_targets GROUP BY 1
), redeemed AS (
    SELECT campaign_id, count(DISTINCT subject_token) AS members, count(*) AS coupons
    FROM lake.core.coupon_redemptions
    GROUP BY 1
)
SELECT campaigns.campaign_type, count(*) AS campaigns, sum(addressed.members) AS addressed,
    sum(coalesce(redeemed.members, 0)) AS redeemed, sum(coalesce(redeemed.coupons, 0)) AS coupons,
    CAST(100.0 * sum(coalesce(redeemed.members, 0)) / sum(addressed.members) AS decimal(5, 2)) AS percent
FROM lake.core.campaigns AS campaigns
JOIN addressed ON addressed.campaign_id = campaigns.campaign_id
LEFT JOIN redeemed ON redeemed.campaign_id = campaigns.campaign_id
GROUP BY 1
ORDER BY 1
