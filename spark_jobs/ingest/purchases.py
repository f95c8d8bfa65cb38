"""Orders, order lines and purchase events: three views of one purchase, each derived from another.

History arrives as order lines, live purchases as events; both end in the same three tables with the same keys.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.core import MONEY
from spark_jobs.contracts.events import EVENT_NAMESPACE

PURCHASE = "purchase"
PAID = "paid"

# What a line of a purchase event must carry; numbers travel as text so that no parser rounds money.
LINE_TYPE = (
    "array<struct<product_id:string,quantity:string,sales_value:string,"
    "retail_disc:string,coupon_disc:string,coupon_match_disc:string>>"
)
_MONEY_COLUMNS = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")


def purchase_event_id_column(workspace_id: Column, order_id: Column, store_id: Column) -> Column:
    """The Spark twin of `contracts.events.purchase_event_id`: UUIDv5 (RFC 9562) of workspace/order/store."""
    name = F.concat_ws("/", workspace_id, order_id, store_id)
    digest = F.sha1(F.concat(F.unhex(F.lit(EVENT_NAMESPACE.hex)), F.encode(name, "UTF-8")))
    variant = F.translate(F.substring(digest, 17, 1), "0123456789abcdef", "89ab89ab89ab89ab")
    return F.concat(
        F.substring(digest, 1, 8),
        F.lit("-"),
        F.substring(digest, 9, 4),
        F.lit("-5"),
        F.substring(digest, 14, 3),
        F.lit("-"),
        variant,
        F.substring(digest, 18, 3),
        F.lit("-"),
        F.substring(digest, 21, 12),
    )


def orders_from_lines(lines: DataFrame) -> DataFrame:
    """One order per order number, store and buyer.

    In:  rows of `core.order_lines`; all lines of an order are present.
    Out: rows of `core.orders`; origin is that of the order's first line.
    """
    key = ("workspace_id", "order_id", "store_id", "subject_type", "subject_scope", "subject_token")
    first = F.min(F.struct("ordered_at", "origin", "origin_position"))
    money = {name: F.sum(name).cast(MONEY) for name in _MONEY_COLUMNS}
    discounts = sum((F.sum(name) for name in _MONEY_COLUMNS[2:]), F.sum(_MONEY_COLUMNS[1])).cast(MONEY)
    return (
        lines.groupBy(*key)
        .agg(
            first.alias("first"),
            F.count(F.lit(1)).alias("lines"),
            F.sum("quantity").alias("quantity"),
            money["sales_value"].alias("sales_value"),
            discounts.alias("discount_value"),
        )
        .select(*key, "lines", "quantity", "sales_value", "discount_value", "first.*")
        .withColumns(
            {
                "ordered_date": F.to_date("ordered_at"),
                "status": F.lit(PAID),
                "refunded_value": F.lit(0).cast(MONEY),
                "event_id": purchase_event_id_column(F.col("workspace_id"), F.col("order_id"), F.col("store_id")),
            }
        )
    )


def purchase_events(orders: DataFrame, *, app: str, terminal: str) -> DataFrame:
    """One purchase event per order of history, as a source would have sent it; the lines stay in `core.order_lines`.

    In:  rows of `core.orders`; their identifier's kid is not known, so `identifiers` holds the token alone.
    Out: rows of `core.events`.
    """
    properties = F.to_json(
        F.struct("order_id", "store_id", F.col("sales_value").cast("string").alias("sales_value"), "lines")
    )
    identifier = F.struct(
        F.col("subject_type").alias("type"),
        F.col("subject_scope").alias("scope"),
        F.col("subject_token").alias("token"),
        F.lit(None).cast("string").alias("kid"),
    )
    nothing = F.lit(None).cast("string")
    return orders.select(
        "workspace_id",
        "event_id",
        F.lit("migration").alias("source"),
        F.lit(PURCHASE).alias("name"),
        F.col("ordered_at").alias("occurred_at"),
        F.col("ordered_date").alias("occurred_date"),
        F.col("ordered_at").alias("received_at"),
        F.array(identifier).alias("identifiers"),
        "subject_type",
        "subject_scope",
        "subject_token",
        F.lit(True).alias("authenticated"),
        nothing.alias("session_key"),
        F.lit(app).alias("app"),
        F.lit(terminal).alias("terminal"),
        nothing.alias("channel"),
        nothing.alias("campaign"),
        properties.alias("properties"),
        "origin",
        "origin_position",
    )


def lines_from_purchases(events: DataFrame) -> DataFrame:
    """Order lines of purchase events.

    In:  rows of `core.events` named `purchase`, with a subject, and `bought` (order_id, store_id, lines of LINE_TYPE).
    Out: rows of `core.order_lines`.
    """
    line = events.withColumn("line", F.explode("bought.lines"))
    return line.select(
        "workspace_id",
        F.col("bought.order_id").alias("order_id"),
        F.col("line.product_id").alias("product_id"),
        F.col("bought.store_id").alias("store_id"),
        "subject_type",
        "subject_scope",
        "subject_token",
        F.col("occurred_at").alias("ordered_at"),
        F.col("occurred_date").alias("ordered_date"),
        F.col("line.quantity").try_cast("bigint").alias("quantity"),
        *[F.col(f"line.{name}").try_cast(MONEY).alias(name) for name in _MONEY_COLUMNS],
        "origin",
        "origin_position",
    )
