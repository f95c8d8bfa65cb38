-- Campaign redemption: addressed members who redeemed a coupon of the campaign
SELECT
    campaign_type,
    count(*) AS campaigns,
    sum(members_addressed) AS addressed,
    sum(members_redeeming) AS redeeming,
    sum(redemptions) AS redemptions,
    CAST(100.0 * sum(members_redeeming) / nullif(sum(members_addressed), 0) AS decimal(5, 2)) AS percent_redeeming
FROM lake.marts.campaign_redemption
GROUP BY campaign_type
ORDER BY campaign_type
