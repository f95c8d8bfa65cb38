-- Category preference: the category that each member bought most often
WITH bought AS (
    SELECT line.subject_token, product.category, count(*) AS lines, sum(line.sales_value) AS sales
    FROM lake.core.order_lines AS line
    JOIN lake.core.products AS product
        ON product.workspace_id = line.workspace_id AND product.product_id = line.product_id
    WHERE product.category IS NOT NULL
    GROUP BY line.subject_token, product.category
),
ranked AS (
    SELECT
        category,
        lines,
        sales,
        row_number() OVER (PARTITION BY subject_token ORDER BY lines DESC, sales DESC, category) AS place
    FROM bought
)
SELECT
    category,
    count_if(place = 1) AS members_preferring,
    count(*) AS members_buying,
    sum(lines) AS lines,
    CAST(sum(sales) AS decimal(18, 2)) AS sales
FROM ranked
GROUP BY category
ORDER BY members_preferring DESC, sales DESC
LIMIT 10
