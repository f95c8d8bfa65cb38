-- Recency, frequency, money: buyers by segment, with what they bought
WITH bought AS (
    SELECT
        workspace_id,
        person_id,
        count(*) AS baskets,
        sum(sales_value) AS sales,
        date_diff('day', max(ordered_at), (SELECT max(base_at) FROM lake.tags.populations)) AS days_since
    FROM lake.core.orders_by_person
    GROUP BY workspace_id, person_id
)
SELECT
    coalesce(tag.value, 'no segment') AS segment,
    count(*) AS people,
    CAST(avg(bought.days_since) AS decimal(8, 1)) AS mean_days_since_last,
    CAST(avg(CAST(bought.baskets AS double)) AS decimal(8, 1)) AS mean_baskets,
    CAST(avg(bought.sales) AS decimal(18, 2)) AS mean_sales,
    CAST(sum(bought.sales) AS decimal(18, 2)) AS sales
FROM bought
LEFT JOIN lake.tags.current_tags AS tag
    ON tag.tag = 'rfm_segment' AND tag.workspace_id = bought.workspace_id AND tag.person_id = bought.person_id
GROUP BY 1
ORDER BY sales DESC
