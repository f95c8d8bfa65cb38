-- The old system's purchases as it exports them: a CSV file a month. Grain: one line of a file, broken ones included.
CREATE TABLE legacy.legacy.transactions (
    household_id varchar,
    store_id varchar,
    basket_id varchar,
    product_id varchar,
    quantity varchar,
    sales_value varchar,
    retail_disc varchar,
    coupon_disc varchar,
    coupon_match_disc varchar,
    week varchar,
    transaction_timestamp varchar
)
WITH (format = 'CSV', skip_header_line_count = 1, external_location = '${location}')
