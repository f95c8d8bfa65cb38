-- Sales by month of the workspace's calendar
SELECT date_format(month, '%Y-%m') AS month, baskets, buyers, lines, sales_value AS sales, discount_value AS discounts
FROM lake.marts.sales_by_month
ORDER BY month
