-- Purchase lines on the old side: what readers of the old system see until the cut-over, and again after a rollback.
-- Grain: one product in one order of one buyer in one store. Reads: legacy.transactions, core.order_lines,
-- core.workspaces. Owner: sales.
-- The columns, their order and types are those of views/sales/purchases.sql. Lines that the old system cannot read do
-- not count, and a line that stands twice counts once. What the live stream brought since counts as well, where the
-- export does not hold it: so nothing that was written between a cut-over and a rollback is missing afterwards. `buyer` is
-- the household number here and its token on the new side: counts of different buyers agree, values never do.
CREATE OR REPLACE VIEW lake_admin.sales.purchases SECURITY DEFINER AS
WITH parsed AS (
    SELECT DISTINCT
        basket_id,
        store_id,
        product_id,
        household_id,
        TRY_CAST(transaction_timestamp AS timestamp(3)) AS utc_at,
        TRY_CAST(quantity AS bigint) AS quantity,
        TRY_CAST(sales_value AS decimal(18, 2)) AS sales_value,
        TRY_CAST(retail_disc AS decimal(18, 2)) AS retail_disc,
        TRY_CAST(coupon_disc AS decimal(18, 2)) AS coupon_disc,
        TRY_CAST(coupon_match_disc AS decimal(18, 2)) AS coupon_match_disc
    FROM legacy.legacy.transactions
    WHERE household_id <> '' AND basket_id <> '' AND product_id <> '' AND store_id <> ''
),
history AS (
    SELECT
        CAST('grocery' AS varchar) AS workspace_id,
        basket_id AS order_id,
        store_id,
        product_id,
        household_id AS buyer,
        with_timezone(utc_at, 'UTC') AS ordered_at,
        CAST(with_timezone(utc_at, 'UTC') AT TIME ZONE 'America/New_York' AS date) AS local_date,
        quantity,
        sales_value,
        retail_disc,
        coupon_disc,
        coupon_match_disc
    FROM parsed
    WHERE utc_at IS NOT NULL
        AND quantity >= 0
        AND sales_value >= 0
        AND retail_disc >= 0
        AND coupon_disc >= 0
        AND coupon_match_disc >= 0
)
SELECT
    workspace_id,
    order_id,
    store_id,
    product_id,
    buyer,
    ordered_at,
    local_date,
    quantity,
    sales_value,
    retail_disc,
    coupon_disc,
    coupon_match_disc
FROM history
UNION ALL
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
WHERE line.origin LIKE 'stream/%'
    AND NOT EXISTS (
        SELECT 1
        FROM history
        WHERE history.order_id = line.order_id
            AND history.product_id = line.product_id
            AND history.store_id = line.store_id
    )
