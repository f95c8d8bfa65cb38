-- Orders with the person who held the buyer's identifier then, as known now, and their day in the workspace's calendar.
-- Grain: one order; person_id is null where nobody held it. Reads: core.orders, core.identity_current, core.workspaces.
-- Owner: identity.
CREATE OR REPLACE VIEW lake_admin.core.orders_by_person SECURITY DEFINER AS
SELECT
    orders.workspace_id,
    orders.order_id,
    orders.store_id,
    held.person_id,
    held.person_no,
    orders.ordered_at,
    orders.ordered_date,
    CAST(at_timezone(orders.ordered_at, workspace.zone) AS date) AS local_date,
    orders.status,
    orders.lines,
    orders.quantity,
    orders.sales_value,
    orders.discount_value,
    orders.refunded_value
FROM lake.core.orders AS orders
JOIN lake.core.workspaces AS workspace ON workspace.workspace_id = orders.workspace_id
LEFT JOIN lake.core.identity_current AS held
    ON held.type = orders.subject_type
    AND held.scope = orders.subject_scope
    AND held.token = orders.subject_token
    AND orders.ordered_at >= held.valid_from
    AND orders.ordered_at < held.valid_to
