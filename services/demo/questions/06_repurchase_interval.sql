-- Repurchase interval: days from one basket of a member to the next
WITH gaps AS (
    SELECT date_diff('day',
        lag(ordered_at) OVER (PARTITION BY subject_token ORDER BY ordered_at, order_id), ordered_at) AS days
    FROM lake.core.orders
)
SELECT count(*) AS intervals, CAST(avg(days) AS decimal(8, 2)) AS mean_days,
    approx_percentile(days, 0.5) AS median_days, approx_percentile(days, 0.9) AS days_90_percent
FROM gaps
WHERE days IS NOT NULL
