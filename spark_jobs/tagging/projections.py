"""Each source's table as rows with the fields of the vocabulary: who, when, order, texts, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import reduce
from typing import Protocol

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.measures import SCORE_DECIMALS
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan, SourcePlan
from spark_jobs.tagging.vocabulary import ATTRIBUTE_SOURCE, LOOKUP_NUMBERS, SOURCE_NUMBERS, SOURCES, WEEKDAYS

_SUBJECT = ("subject_type", "subject_scope", "subject_token")
# What names a row to people; no property of events may have a name with a #.
REF = "#ref"
_MONEY_SCALE = 100
_PAID = "paid"
_DISCOUNTS = ("retail_disc", "coupon_disc", "coupon_match_disc")

Tables = Mapping[str, DataFrame]


class Projection(Protocol):
    """Rows of a workspace with subject, `at`, `at_date` (UTC), the source's fields, and REF, what names the row."""

    def __call__(self, tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
        """The projection of one source."""


def is_purchase() -> Column:
    """True for an order that is paid and not fully refunded; an order of zero value with nothing refunded is one."""
    is_refunded = (F.col("refunded_value") > 0) & (F.col("refunded_value") >= F.col("sales_value"))
    return (F.col("status") == _PAID) & ~is_refunded


def member_rows(members: DataFrame, plan: Plan) -> DataFrame:
    """One row per registration, and one per attribute that is on record: its name in t0, its value in t1."""
    kind = "struct<source:tinyint,part:bigint,t0:string,t1:string,x0:bigint>"
    nothing = (F.lit(None), F.lit(None), F.lit(None))
    registration = F.struct(F.lit(SOURCE_NUMBERS["members"]), F.unix_micros("at"), *nothing).cast(kind)
    since = F.unix_micros("valid_from")
    # The newest record of a person wins in the kernel: `part` says since when it holds.
    attributes = [
        F.struct(
            F.lit(ATTRIBUTE_SOURCE), since, F.lit(name), F.get_json_object("attributes", _path(name)), F.lit(None)
        ).cast(kind)
        for name in plan.attributes
    ]
    rows = members.select(*_SUBJECT, "at", F.explode(F.array(registration, *attributes)).alias("row"))
    return _looked_up(rows.where((F.col("row.source") != ATTRIBUTE_SOURCE) | (F.col("row.t1") != "")), plan)


def given_rows(given: DataFrame, plan: Plan) -> DataFrame:
    """One row per value from outside that a tag asks for: its name in t0, its text in t1 or its score in x0."""
    number = reduce(
        lambda rest, kind: F.when(F.col("kind") == kind[0], F.lit(kind[1])).otherwise(rest),
        LOOKUP_NUMBERS.items(),
        F.lit(None),
    )
    score = _scaled(F.col("value"), SCORE_DECIMALS, least=None)
    is_score = F.col("kind") == "score"
    row = F.struct(
        number.cast("tinyint").alias("source"),
        F.unix_micros("at").alias("part"),
        F.col("name").alias("t0"),
        F.when(~is_score, F.col("value")).alias("t1"),
        F.when(is_score, score).alias("x0"),
    )
    rows = given.select(*_SUBJECT, "at", row.alias("row"))
    # A score that is no number says nothing.
    return _looked_up(rows.where(F.col("row.t1").isNotNull() | F.col("row.x0").isNotNull()), plan)


def _looked_up(rows: DataFrame, plan: Plan) -> DataFrame:
    """Rows with `row` (source, part, t0, t1, x0) in the shape of all facts."""
    absent = F.lit(None)
    texts = [F.col(f"row.t{n}") if n < 2 else absent.cast("string") for n in range(plan.text_slots)]
    numbers = [F.col("row.x0") if n < 1 else absent.cast("bigint") for n in range(plan.number_slots)]
    return rows.select(
        *_SUBJECT,
        "at",
        F.col("row.source").alias("source"),
        F.col("row.part").alias("part"),
        *[column.alias(f"t{n}") for n, column in enumerate(texts)],
        *[column.alias(f"x{n}") for n, column in enumerate(numbers)],
    )


def _members(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    del source
    base = F.lit(moment_of(moment.base))
    holds = (F.col("valid_from") <= base) & (F.col("valid_to").isNull() | (F.col("valid_to") > base))
    rows = tables["core.members"].where((F.col("workspace_id") == workspace) & holds)
    return rows.select(
        *_SUBJECT,
        F.col("registered_at").alias("at"),
        F.to_date("registered_at").alias("at_date"),
        "attributes",
        "valid_from",
        _ref("origin", "origin_position"),
    )


def _purchases(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    fields = {
        "store_id": F.col("store_id"),
        "weekday": _weekday(moment),
        "sales_value": _cents(F.col("sales_value")),
        "discount_value": _cents(F.col("discount_value")),
        "gross_value": _cents(F.col("sales_value") + F.col("discount_value")),
        "net_value": _cents(F.col("sales_value") - F.col("refunded_value")),
        "quantity": F.col("quantity"),
        "lines": F.col("lines"),
    }
    rows = tables["core.orders"].where((F.col("workspace_id") == workspace) & is_purchase())
    return rows.select(*_ordered(), *_wanted(fields, source), _ref("order_id", "store_id"))


def _purchase_lines(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    fields = {
        "product_line": F.col("product_line"),
        "category": F.col("category"),
        "brand": F.col("brand"),
        "store_id": F.col("store_id"),
        "weekday": _weekday(moment),
        "sales_value": _cents(F.col("sales_value")),
        "discount_value": _cents(sum((F.col(name) for name in _DISCOUNTS[1:]), F.col(_DISCOUNTS[0]))),
        "quantity": F.col("quantity"),
    }
    rows = tables["core.order_lines"].where(F.col("workspace_id") == workspace)
    if {"product_line", "category", "brand"} & set(source.fields):
        products = tables["core.products"].where(F.col("workspace_id") == workspace)
        # Products are unique on (workspace, product): no line is doubled; one of an unknown product stays, without.
        rows = rows.join(products.select("product_id", "product_line", "category", "brand"), "product_id", "left")
    return rows.select(*_ordered(), *_wanted(fields, source), _ref("order_id", "store_id", "product_id"))


def _events(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    del moment
    rows = tables["core.events"].where((F.col("workspace_id") == workspace) & F.col("subject_token").isNotNull())
    at = [F.col("occurred_at").alias("at"), F.col("occurred_date").alias("at_date")]
    own, decimals = SOURCES["events"].texts, dict(source.decimals)
    fields = {name: F.col(name) if name in own else _property(name, decimals) for name in source.fields}
    return rows.select(*_SUBJECT, *at, *_wanted(fields, source), _ref("event_id"))


def _property(name: str, decimals: Mapping[str, int]) -> Column:
    text = F.get_json_object("properties", _path(name))
    return _scaled(text, decimals[name], least=0) if name in decimals else F.nullif(text, F.lit(""))


def _coupon_redemptions(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    rows = tables["core.coupon_redemptions"].where(F.col("workspace_id") == workspace)
    rows = rows.withColumn(REF, _ref("coupon_id", "campaign_id", "redeemed_date"))
    return _dated(rows, F.col("redeemed_date"), source, moment)


def _campaign_targets(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    rows = tables["core.campaign_targets"].where(F.col("workspace_id") == workspace)
    campaigns = tables["core.campaigns"].where(F.col("workspace_id") == workspace).select("campaign_id", "start_date")
    # Campaigns are unique on (workspace, campaign). A target of a campaign without a first day counts since ever.
    rows = rows.join(campaigns, "campaign_id", "left")
    rows = rows.withColumn(REF, _ref("campaign_id"))
    return _dated(rows, F.coalesce("start_date", F.lit(date(1970, 1, 1))), source, moment)


def _dated(rows: DataFrame, day: Column, source: SourcePlan, moment: Moment) -> DataFrame:
    # A day of the workspace's calendar happens at its beginning.
    at = F.to_utc_timestamp(day.cast("timestamp"), moment.zone)
    return rows.select(*_SUBJECT, at.alias("at"), F.to_date(at).alias("at_date"), *source.fields, REF)


def _orders_unpaid(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    """Orders that were created and, by the base time, neither paid nor cancelled, at the moment of their creation."""
    is_before = (F.col("workspace_id") == workspace) & (F.col("changed_at") < F.lit(moment_of(moment.base)))
    created = F.col("change") == "created"
    orders = (
        tables["core.order_changes"]
        .where(is_before)
        .groupBy(*_SUBJECT, "order_id", "store_id")
        .agg(
            F.min(F.when(created, F.col("changed_at"))).alias("at"),
            F.min(F.when(created, _cents(F.col("value")))).alias("value"),
            F.bool_and(created).alias("is_open"),
        )
    )
    rows = orders.where("is_open").withColumn("at_date", F.to_date("at"))
    return rows.select(*_SUBJECT, "at", "at_date", *source.fields, _ref("order_id", "store_id"))


def _refunds(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    del moment
    rows = tables["core.order_changes"].where((F.col("workspace_id") == workspace) & (F.col("change") == "refunded"))
    fields = {"store_id": F.col("store_id"), "value": _cents(F.col("value"))}
    return rows.select(*_at("changed_at", "changed_date"), *_wanted(fields, source), _ref("order_id", "store_id"))


def _shares(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    del moment
    rows = tables["core.shares"].where(F.col("workspace_id") == workspace)
    return rows.select(*_at("shared_at", "shared_date"), *source.fields, _ref("share_id"))


def _share_orders(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    del moment
    rows = tables["core.share_orders"].where(F.col("workspace_id") == workspace)
    fields = {
        "store_id": F.col("store_id"),
        "is_first_order": F.col("is_first_order").cast("string"),
        "sales_value": _cents(F.col("sales_value")),
    }
    ref = _ref("share_id", "order_id", "store_id")
    return rows.select(*_at("ordered_at", "ordered_date"), *_wanted(fields, source), ref)


def _given_values(tables: Tables, source: SourcePlan, moment: Moment, *, workspace: str) -> DataFrame:
    del source
    base = F.lit(moment_of(moment.base))
    holds = (F.col("valid_from") <= base) & (F.col("valid_to").isNull() | (F.col("valid_to") > base))
    rows = tables["core.given_values"].where((F.col("workspace_id") == workspace) & holds)
    return rows.select(*_at("valid_from", "valid_from"), "kind", "name", "value", _ref("kind", "name"))


def _at(at: str, day: str) -> list[Column]:
    return [*[F.col(name) for name in _SUBJECT], F.col(at).alias("at"), F.to_date(day).alias("at_date")]


def _ref(*names: str) -> Column:
    # No job of every day reads it, so none computes it: it is for explanations.
    return F.concat_ws("/", *[F.col(name).cast("string") for name in names]).alias(REF)


def _ordered() -> list[Column]:
    order_hash = F.xxhash64("subject_token", "order_id", "store_id").alias("order_hash")
    at = [F.col("ordered_at").alias("at"), F.col("ordered_date").alias("at_date")]
    return [*[F.col(name) for name in _SUBJECT], *at, order_hash]


def _wanted(fields: Mapping[str, Column], source: SourcePlan) -> list[Column]:
    return [fields[name].alias(name) for name in source.fields]


def _path(name: str) -> str:
    # Names are letters, digits and _ alone: nothing of them means anything in a path.
    return f"$.{name}"


def _scaled(text: Column, decimals: int, *, least: int | None) -> Column:
    """A number in units of its last decimal, rounded half up; null where the text is none, or one below the least."""
    number: Column = text.try_cast(f"decimal(18,{decimals})")
    kept = number if least is None else F.when(number >= least, number)
    return (kept * F.lit(10**decimals)).cast("bigint")


def _cents(money: Column) -> Column:
    return (money * _MONEY_SCALE).cast("bigint")


def _weekday(moment: Moment) -> Column:
    names = F.array(*[F.lit(name) for name in WEEKDAYS])
    return F.element_at(names, F.weekday(F.from_utc_timestamp("ordered_at", moment.zone)) + 1)


PROJECTIONS: dict[str, Projection] = {
    "members": _members,
    "purchases": _purchases,
    "purchase_lines": _purchase_lines,
    "events": _events,
    "coupon_redemptions": _coupon_redemptions,
    "campaign_targets": _campaign_targets,
    "orders_unpaid": _orders_unpaid,
    "refunds": _refunds,
    "shares": _shares,
    "share_orders": _share_orders,
    "given_values": _given_values,
}
