-- Sales by month of the workspace's calendar. Grain: workspace_id, month (its first day). Reads: core.orders,
-- core.workspaces. Owner: sales.
CREATE OR REPLACE VIEW lake_admin.marts.sales_by_month SECURITY DEFINER AS
SELECT
    orders.workspace_id,
    CAST(date_trunc('month', at_timezone(orders.ordered_at, workspace.zone)) AS date) AS month,
    count(*) AS baskets,
    count(DISTINCT orders.subject_token) AS buyers,
    sum(orders.lines) AS lines,
    sum(orders.quantity) AS quantity,
    CAST(sum(orders.sales_value) AS decimal(18, 2)) AS sales_value,
    CAST(sum(orders.discount_value) AS decimal(18, 2)) AS discount_value
FROM lake.core.orders AS orders
JOIN lake.core.workspaces AS workspace ON workspace.workspace_id = orders.workspace_id
GROUP BY 1, 2
