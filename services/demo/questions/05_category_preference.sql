-- Category preference: the product line that most of a member's lines are from
WITH counted AS (
    SELECT lines.subject_token, products.product_line, count(*) AS bought, sum(lines.sales_value) AS sales
    FROM lake.core.order_lines AS lines
    JOIN lake.core.products AS products
        ON products.workspace_id = lines.workspace_id AND products.product_id = lines.product_id
    GROUP BY 1, 2
), ranked AS (
    SELECT product_line, row_number() OVER (PARTITION BY subject_token ORDER BY bought DESC, sales DESC, product_line) AS place
    FROM counted
)
SELECT product_line, count(*) AS members_preferring
FROM ranked
WHERE place = 1
GROUP BY 1
ORDER BY 2 DESC, 1
LIMIT 8
