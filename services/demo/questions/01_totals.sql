-- Total sales and baskets
SELECT count(*) AS lines, count(DISTINCT order_id) AS baskets, count(DISTINCT buyer) AS households,
    sum(sales_value) AS sales
FROM lake.sales.purchases
