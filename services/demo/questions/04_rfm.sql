-- Recency, frequency and money: members by quarter of each, 4 is best
WITH buyers AS (
    SELECT subject_token, max(ordered_at) AS last_at, count(*) AS orders, sum(sales_value) AS sales
    FROM lake.core.orders
    GROUP BY 1
), scored AS (
    SELECT ntile(4) OVER (ORDER BY last_at, subject_token) AS recency,
        ntile(4) OVER (ORDER BY orders, subject_token) AS frequency,
        ntile(4) OVER (ORDER BY sales, subject_token) AS money,
        orders, sales
    FROM buyers
)
SELECT recency, frequency, count(*) AS members, CAST(avg(money) AS decimal(4, 2)) AS mean_money_quarter,
    CAST(avg(orders) AS decimal(10, 1)) AS mean_orders, CAST(avg(sales) AS decimal(18, 2)) AS mean_sales
FROM scored
GROUP BY 1, 2
ORDER BY 1 DESC, 2 DESC
