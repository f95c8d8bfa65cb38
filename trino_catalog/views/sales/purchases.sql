-- Purchase lines on the new side: history and live purchases in one table.
-- Grain: one product in one order of one buyer in one store. Reads: core.order_lines, core.workspaces. Owner: sales.
-- The columns, their order and types are those of cutover/purchases_legacy.sql; `buyer` is the token of the member
-- number here and the household number there: counts of different buyers agree, values never do.
CREATE OR REPLACE VIEW lake_admin.sales.purchases SECURITY DEFINER AS
SELECT
    line.workspace_id,
    line.order_id,
    line.store_id,
    line.product_id,
    lower(to_hex(line.subject_token)) AS buyer,
    line.ordered_at,
    CAST(at_timezone(line.ordered_at, workspace.zone) AS date) AS local_date,
    line.quantity,
    line.sales_value,
    line.retail_disc,
    line.coupon_disc,
    line.coupon_match_disc
FROM lake.core.order_lines AS line
JOIN lake.core.workspaces AS workspace ON workspace.workspace_id = line.workspace_id
