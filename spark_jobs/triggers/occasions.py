"""Carts and unpaid orders as occasions to tell somebody, and what ends them; pure functions of core tables.

An occasion has object_id, since_at, subject_type, subject_scope, subject_token, cause_event_ids, ended_at, ended_by,
and the columns of RULE, the constants of the trigger that it is an occasion of.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.triggers.control import threshold
from spark_jobs.triggers.definitions import Trigger
from spark_jobs.triggers.moments import micros_in

SUBJECT = ("subject_type", "subject_scope", "subject_token")
_FOUND = ("object_id", "since_at", *SUBJECT, "cause_event_ids", "ended_at", "ended_by")
_CREATED, _PAID = "created", "paid"


@dataclass(frozen=True, slots=True)
class Rule:
    """A trigger in one run: `quiet_until` is when the quiet hours end that the run falls into, None in none."""

    trigger: Trigger
    quiet_until: datetime | None


def occasions_of_carts(events: DataFrame, rules: Sequence[Rule]) -> Iterator[DataFrame]:
    """Occasions, one a cart and trigger; a frame for each way to make carts.

    A cart is what has one `cart_id`, else a visit by the source's session, else the event alone. It waits since its
    last event, and is whose that one is.

    In: rows of `core.events` of one workspace.
    """
    ways: dict[tuple[tuple[str, ...], str], list[Rule]] = {}
    for rule in rules:
        if rule.trigger.source == "carts":
            ways.setdefault((rule.trigger.events, rule.trigger.cart_id), []).append(rule)
    for (names, cart_id), mine in ways.items():
        yield _with_rules(_carts(events, names, cart_id), mine)


def _carts(events: DataFrame, names: Sequence[str], cart_id: str) -> DataFrame:
    mine = events.where(F.col("name").isin(*names) & F.col("subject_token").isNotNull())
    # Two events in one microsecond must not swap between runs.
    order = F.struct("occurred_at", "event_id")
    carts = (
        mine.withColumn("object_id", _cart(cart_id))
        .groupBy("object_id")
        .agg(
            F.max("occurred_at").alias("since_at"),
            F.max_by(F.struct(*SUBJECT), order).alias("subject"),
            F.array_distinct(F.array(F.min_by("event_id", order), F.max_by("event_id", order))).alias(
                "cause_event_ids"
            ),
        )
    )
    nothing = {"ended_at": F.lit(None).cast("timestamp"), "ended_by": F.lit(None).cast("string")}
    return carts.select("object_id", "since_at", "subject.*", "cause_event_ids").withColumns(nothing)


def _cart(cart_id: str) -> Column:
    visit = F.sha2(F.concat_ws("/", "source", F.coalesce("app", F.lit("")), "session_key"), 256)
    has_visit = F.coalesce(F.col("session_key") != "", F.lit(False))
    found = [
        F.when(has_visit, F.concat(F.lit("session/"), F.substring(visit, 1, 32))),
        F.concat(F.lit("event/"), F.col("event_id")),
    ]
    if cart_id:
        given = F.nullif(F.get_json_object("properties", f"$.{cart_id}"), F.lit(""))
        found.insert(0, F.concat(F.lit("cart/"), given))
    return F.coalesce(*found)


def occasions_of_orders(changes: DataFrame, orders: DataFrame, rules: Sequence[Rule]) -> Iterator[DataFrame]:
    """Occasions, one an order and trigger; a frame for each list of steps that end an order.

    It waits since it was created. Who paid by a way of which no step tells has a row in `core.orders`.

    In: rows of `core.order_changes` and `core.orders` of one workspace.
    """
    ways: dict[tuple[str, ...], list[Rule]] = {}
    for rule in rules:
        if rule.trigger.source == "orders_unpaid":
            ways.setdefault(rule.trigger.cancelled_by, []).append(rule)
    for ends, mine in ways.items():
        yield _with_rules(_unpaid(changes, orders, ends), mine)


def _unpaid(changes: DataFrame, orders: DataFrame, ends: Sequence[str]) -> DataFrame:
    shared = ("order_id", "store_id", *SUBJECT)
    place = F.concat_ws("#", "origin", F.col("origin_position").cast("string"))
    told = changes.where(F.col("change").isin(_CREATED, *ends))
    steps = told.select(*shared, "change", F.col("changed_at").alias("at"), place.alias("step"))
    if _PAID in ends:
        paid = [F.lit(_PAID).alias("change"), F.col("ordered_at").alias("at"), F.col("event_id").alias("step")]
        steps = steps.unionByName(orders.select(*shared, *paid))
    is_created = F.col("change") == _CREATED
    whole = steps.groupBy("order_id", "store_id").agg(
        F.min(F.when(is_created, F.struct("at", "step", *SUBJECT))).alias("created"),
        F.min(F.when(~is_created, F.struct("at", "step"))).alias("ended"),
    )
    return whole.where(F.col("created").isNotNull()).select(
        F.concat_ws("/", F.lit("order"), "order_id", "store_id").alias("object_id"),
        F.col("created.at").alias("since_at"),
        *[F.col(f"created.{name}").alias(name) for name in SUBJECT],
        F.array("created.step").alias("cause_event_ids"),
        F.col("ended.at").alias("ended_at"),
        F.col("ended.step").alias("ended_by"),
    )


def ends_of_carts(orders: DataFrame, events: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    """What ends carts of a person: subject_type, subject_scope, subject_token, at, by, and `triggers`, their names.

    In: rows of `core.orders` and `core.events` of one workspace.
    """
    mine = [rule.trigger for rule in rules if rule.trigger.source == "carts"]
    every = F.array(*[F.lit(one.name) for one in mine]).cast("array<string>")
    bought = orders.select(*SUBJECT, F.col("ordered_at").alias("at"), F.col("event_id").alias("by"))
    names = sorted({name for one in mine for name in one.cancelled_by})
    ended = [F.when(F.col("name").isin(*one.cancelled_by), F.lit(one.name)) for one in mine]
    told = events.where(F.col("name").isin(*names) & F.col("subject_token").isNotNull()).select(
        *SUBJECT,
        F.col("occurred_at").alias("at"),
        F.col("event_id").alias("by"),
        F.array_compact(F.array(*ended)).cast("array<string>").alias("triggers"),
    )
    return bought.withColumn("triggers", every).unionByName(told)


def _with_rules(found: DataFrame, rules: Sequence[Rule]) -> DataFrame:
    constants = F.explode(F.array(*[_constants(rule) for rule in rules]))
    return found.select(*_FOUND, constants.alias("rule")).select(*_FOUND, "rule.*")


def _constants(rule: Rule) -> Column:
    trigger = rule.trigger
    return F.struct(
        F.lit(trigger.name).alias("trigger"),
        F.lit(trigger.waits).alias("waits"),
        F.lit(trigger.digest).alias("definition"),
        F.lit(micros_in(trigger.after)).cast("bigint").alias("after_us"),
        F.lit(micros_in(trigger.expires)).cast("bigint").alias("expires_us"),
        F.lit(rule.quiet_until).cast("timestamp").alias("quiet_until"),
        F.lit(trigger.cap.most).alias("most"),
        F.lit(trigger.cap.days).alias("days"),
        F.lit(trigger.control.salt).alias("salt"),
        F.lit(threshold(trigger.control.share)).cast("bigint").alias("threshold"),
    )
