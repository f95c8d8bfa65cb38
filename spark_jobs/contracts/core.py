"""Contracts of the business tables: events, orders, members, products, campaigns."""

from __future__ import annotations

from datetime import timedelta

from spark_jobs.contracts.schema import Column, Table

# Earlier there was nothing that could have recorded it; later than it was received, and a clock's error, it cannot be.
FIRST_EVENT_AT = "1990-01-01T00:00:00"
CLOCK_ERROR = timedelta(days=1)

IDENTIFIER_STRUCT = "struct<type:string,scope:string,token:binary,kid:string>"

WORKSPACE = Column("workspace_id", "string", "business line that the row belongs to", nullable=False)

# Where a row came from: it makes every row explainable and every load repeatable.
ORIGIN = (
    Column("origin", "string", "`migration/TABLE/CHUNK` or `stream/TOPIC/PARTITION`", nullable=False),
    Column("origin_position", "bigint", "line in the chunk, or offset in the partition", nullable=False),
)

# The one identifier that the row is attributed by; readers join it to `core.identity_map`.
SUBJECT = (
    Column("subject_type", "string", "type of the strongest identifier", personal="none"),
    Column("subject_scope", "string", "scope of the strongest identifier"),
    Column("subject_token", "binary", "16-byte token of the strongest identifier", personal="pseudonym"),
)

EVENTS = Table(
    name="core.events",
    grain="one valid event of one subject",
    key=("workspace_id", "event_id"),
    partition_by=("occurred_date",),
    statistics_on=("occurred_at", "name", "event_id"),
    happened_at="occurred_at",
    columns=(
        WORKSPACE,
        Column("event_id", "string", "id given by the source, unique in the workspace", nullable=False),
        Column("source", "string", "system that sent it", nullable=False),
        Column("name", "string", "event name of the tracking plan", nullable=False),
        Column("occurred_at", "timestamp", "when it happened, UTC", nullable=False),
        Column("occurred_date", "date", "UTC day of occurred_at", nullable=False),
        Column("received_at", "timestamp", "when the platform first held it, UTC", nullable=False),
        Column("identifiers", f"array<{IDENTIFIER_STRUCT}>", "all identifiers that it carried", personal="pseudonym"),
        *SUBJECT,
        Column("authenticated", "boolean", "true where the source had checked who it was", nullable=False),
        Column("session_key", "string", "session id of the source"),
        Column("app", "string", "touchpoint: app or site"),
        Column("terminal", "string", "touchpoint: pos, pc, mobile, mini_program"),
        Column("channel", "string", "touchpoint: channel that led here"),
        Column("campaign", "string", "touchpoint: campaign that led here"),
        Column("properties", "string", "further properties, a JSON object", personal="personal"),
        *ORIGIN,
    ),
)

MONEY = "decimal(18,2)"

ORDER_LINES = Table(
    name="core.order_lines",
    grain="one product in one order of one buyer in one store",
    key=("workspace_id", "subject_token", "order_id", "product_id", "store_id"),
    partition_by=("ordered_date",),
    statistics_on=("ordered_at", "order_id"),
    happened_at="ordered_at",
    columns=(
        WORKSPACE,
        Column("order_id", "string", "order or basket number of the source", nullable=False),
        Column("product_id", "string", "product number", nullable=False),
        Column("store_id", "string", "store number", nullable=False),
        Column("subject_type", "string", "type of the buyer's identifier", nullable=False),
        Column("subject_scope", "string", "scope of the buyer's identifier", nullable=False),
        Column("subject_token", "binary", "16-byte token of the buyer", nullable=False, personal="pseudonym"),
        Column("ordered_at", "timestamp", "when it was ordered, UTC", nullable=False),
        Column("ordered_date", "date", "UTC day of ordered_at", nullable=False),
        Column("quantity", "bigint", "pieces; zero is valid", nullable=False),
        Column("sales_value", MONEY, "paid, workspace currency; zero is valid", nullable=False),
        Column("retail_disc", MONEY, "discount by the loyalty card, workspace currency", nullable=False),
        Column("coupon_disc", MONEY, "discount by the manufacturer's coupon, workspace currency", nullable=False),
        Column("coupon_match_disc", MONEY, "discount by the retailer's match, workspace currency", nullable=False),
        *ORIGIN,
    ),
)

ORDERS = Table(
    name="core.orders",
    grain="one order (basket) of one buyer in one store",
    key=("workspace_id", "subject_token", "order_id", "store_id"),
    partition_by=("ordered_date",),
    statistics_on=("ordered_at", "order_id"),
    happened_at="ordered_at",
    columns=(
        WORKSPACE,
        Column("order_id", "string", "order or basket number of the source", nullable=False),
        Column("store_id", "string", "store number", nullable=False),
        Column("subject_type", "string", "type of the buyer's identifier", nullable=False),
        Column("subject_scope", "string", "scope of the buyer's identifier", nullable=False),
        Column("subject_token", "binary", "16-byte token of the buyer", nullable=False, personal="pseudonym"),
        Column("ordered_at", "timestamp", "when it was ordered, UTC", nullable=False),
        Column("ordered_date", "date", "UTC day of ordered_at", nullable=False),
        Column("status", "string", "`paid` or `refunded` (wholly)", nullable=False),
        Column("lines", "bigint", "order lines", nullable=False),
        Column("quantity", "bigint", "pieces over all lines", nullable=False),
        Column("sales_value", MONEY, "paid over all lines, workspace currency", nullable=False),
        Column("discount_value", MONEY, "all discounts over all lines, workspace currency", nullable=False),
        Column("refunded_value", MONEY, "paid back since, workspace currency", nullable=False),
        Column("event_id", "string", "the purchase event of `core.events`", nullable=False),
        *ORIGIN,
    ),
)

MEMBERS = Table(
    name="core.members",
    grain="one registered member in one span of valid time",
    key=("workspace_id", "subject_token", "valid_from"),
    cluster_by=("registered_at",),
    statistics_on=("registered_at", "valid_from"),
    columns=(
        WORKSPACE,
        Column("subject_type", "string", "always `member_no`", nullable=False),
        Column("subject_scope", "string", "scope of the member number", nullable=False),
        Column("subject_token", "binary", "16-byte token of the member number", nullable=False, personal="pseudonym"),
        Column("registered_at", "timestamp", "when the person registered, UTC", nullable=False),
        Column("identifiers", f"array<{IDENTIFIER_STRUCT}>", "identifiers on record", personal="pseudonym"),
        Column("attributes", "string", "attributes on record, a JSON object", personal="personal"),
        Column("valid_from", "timestamp", "since when the record holds, UTC", nullable=False),
        Column("valid_to", "timestamp", "until when (exclusive); null while it holds"),
        *ORIGIN,
    ),
)

PRODUCTS = Table(
    name="core.products",
    grain="one product",
    key=("workspace_id", "product_id"),
    cluster_by=("product_id",),
    statistics_on=("product_id", "product_line"),
    columns=(
        WORKSPACE,
        Column("product_id", "string", "product number", nullable=False),
        Column("product_line", "string", "department or product line"),
        Column("category", "string", "category inside the line"),
        Column("product_type", "string", "kind inside the category"),
        Column("brand", "string", "national or private brand"),
        Column("manufacturer_id", "string", "manufacturer number"),
        Column("package_size", "string", "size as printed"),
        *ORIGIN,
    ),
)

CAMPAIGNS = Table(
    name="core.campaigns",
    grain="one campaign",
    key=("workspace_id", "campaign_id"),
    cluster_by=("campaign_id",),
    statistics_on=("campaign_id",),
    columns=(
        WORKSPACE,
        Column("campaign_id", "string", "campaign number", nullable=False),
        Column("campaign_type", "string", "kind of campaign"),
        Column("start_date", "date", "first day, workspace calendar"),
        Column("end_date", "date", "last day, workspace calendar"),
        *ORIGIN,
    ),
)

CAMPAIGN_TARGETS = Table(
    name="core.campaign_targets",
    grain="one member addressed by one campaign",
    key=("workspace_id", "campaign_id", "subject_token"),
    cluster_by=("campaign_id",),
    statistics_on=("campaign_id",),
    columns=(
        WORKSPACE,
        Column("campaign_id", "string", "campaign number", nullable=False),
        Column("subject_type", "string", "type of the member's identifier", nullable=False),
        Column("subject_scope", "string", "scope of the member's identifier", nullable=False),
        Column("subject_token", "binary", "16-byte token of the member", nullable=False, personal="pseudonym"),
        *ORIGIN,
    ),
)

COUPON_REDEMPTIONS = Table(
    name="core.coupon_redemptions",
    grain="one redemption of one coupon by one member on one day",
    key=("workspace_id", "subject_token", "coupon_id", "campaign_id", "redeemed_date"),
    cluster_by=("campaign_id",),
    statistics_on=("campaign_id", "redeemed_date"),
    happened_at="redeemed_date",
    columns=(
        WORKSPACE,
        Column("coupon_id", "string", "coupon number", nullable=False),
        Column("campaign_id", "string", "campaign number", nullable=False),
        Column("redeemed_date", "date", "day of redemption, workspace calendar", nullable=False),
        Column("subject_type", "string", "type of the member's identifier", nullable=False),
        Column("subject_scope", "string", "scope of the member's identifier", nullable=False),
        Column("subject_token", "binary", "16-byte token of the member", nullable=False, personal="pseudonym"),
        *ORIGIN,
    ),
)
