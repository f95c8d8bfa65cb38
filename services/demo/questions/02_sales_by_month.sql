-- Sales by month of the workspace's calendar
SELECT date_format(local_date, '%Y-%m') AS month, count(DISTINCT order_id) AS baskets, sum(sales_value) AS sales
FROM lake.sales.purchases
GROUP BY 1
ORDER BY 1
