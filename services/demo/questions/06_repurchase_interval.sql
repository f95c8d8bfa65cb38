-- Repurchase interval: days from one basket of a member to the next
WITH gaps AS (
    SELECT
        subject_token,
        date_diff(
            'second', lag(ordered_at) OVER (PARTITION BY subject_token ORDER BY ordered_at, order_id), ordered_at
        ) / 86400.0 AS days
    FROM lake.core.orders
)
SELECT
    count(*) AS intervals,
    count(DISTINCT subject_token) AS members,
    CAST(avg(days) AS decimal(8, 2)) AS mean_days,
    CAST(approx_percentile(days, 0.5) AS decimal(8, 2)) AS median_days,
    CAST(approx_percentile(days, 0.9) AS decimal(8, 2)) AS days_of_90_percent,
    CAST(max(days) AS decimal(8, 2)) AS longest_days
FROM gaps
WHERE days IS NOT NULL
