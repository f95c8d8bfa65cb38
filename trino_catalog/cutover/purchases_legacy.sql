-- Purchase lines on the old side: what readers of the old system see until the cut-over, and again after a rollback.
-- Grain: one product in one order of one buyer in one store. Reads: legacy.transactions. Owner: sales.
-- The columns, their order and types are those of views/sales/purchases.sql. Lines that the old system cannot read do
-- not count, and a line that stands twice counts once. `buyer` is the household number here and its token on the new
-- side: counts of different buyers agree, values never do.
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
)
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
