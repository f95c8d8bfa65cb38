"""Messages of the events topic become events, or refusals with a reason; nothing is dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.core import CLOCK_ERROR, FIRST_EVENT_AT, IDENTIFIER_STRUCT, MONEY
from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES
from spark_jobs.ingest.once import with_columns_once
from spark_jobs.ingest.purchases import LINE_TYPE, PURCHASE

# Everything is read as text: a value of the wrong type must become a refusal with a reason, not a failed batch.
_MESSAGE = (
    "event_id string, workspace_id string, source string, name string, occurred_at string, "
    "identifiers array<struct<type:string,scope:string,token:string,kid:string,value:string>>, "
    "authenticated string, session_key string, "
    "touchpoint struct<app:string,terminal:string,channel:string,campaign:string>, "
    "properties string, _corrupt string"
)
_BOUGHT = f"order_id string, store_id string, lines {LINE_TYPE}"
_REQUIRED = ("event_id", "source", "name")
EMPTY = "empty message"
_TOKEN = "^[0-9a-f]{32}$"  # noqa: S105 - the shape of a token, no secret
_MONEY_LIMIT = "1e16"
_MONEY_FIELDS = ("sales_value", "retail_disc", "coupon_disc", "coupon_match_disc")
_MOST_PIECES = 2**63 - 1


def parse_messages(messages: DataFrame, *, workspaces: Sequence[str]) -> DataFrame:
    """Read each message and say what is wrong with it.

    In:  Kafka's rows: topic, partition, offset, timestamp, value.
    Out: the same rows, one each: the columns of `core.events`, `parked` (identifiers of undeclared types),
         `bought` (order, store and lines of a purchase) and `reason` (null where the message is good).
    """
    text = messages.withColumn("body", F.col("value").cast("string"))
    options = {"mode": "PERMISSIVE", "columnNameOfCorruptRecord": "_corrupt"}
    read = text.transform(with_columns_once, {"m": F.from_json("body", _MESSAGE, options)})
    named = read.select("topic", "partition", "offset", "timestamp", "value", "body", "m.*")
    typed = named.transform(_with_types)
    return typed.transform(with_columns_once, {"reason": _reason(workspaces)}).drop("given", "moment", "_corrupt")


def _with_types(rows: DataFrame) -> DataFrame:
    given = rows.transform(
        with_columns_once,
        {
            "given": F.coalesce("identifiers", F.array().cast(f"array<{_given_type()}>")),
            "moment": F.expr("try_to_timestamp(occurred_at)"),
            "bought": F.when(F.col("name") == PURCHASE, F.from_json("properties", _BOUGHT)),
            "authenticated": F.coalesce(F.expr("try_cast(authenticated AS boolean)"), F.lit(False)),
        },
    )
    identified = given.transform(
        with_columns_once,
        {
            "identifiers": F.transform(F.filter("given", _is_declared), _as_identifier),
            "parked": F.size(F.filter("given", lambda i: ~_is_declared(i))),
        },
    )
    return identified.transform(with_columns_once, {"subject": _strongest()}).select(
        *("topic", "partition", "offset", "value", "body", "given", "moment", "_corrupt", "parked", "bought"),
        *("workspace_id", "event_id", "source", "name", "identifiers", "authenticated", "session_key", "properties"),
        F.col("moment").alias("occurred_at"),
        F.to_date("moment").alias("occurred_date"),
        F.col("timestamp").alias("received_at"),
        F.to_date("timestamp").alias("received_date"),
        *[F.col(f"subject.{part}").alias(f"subject_{part}") for part in ("type", "scope", "token")],
        *[F.col(f"touchpoint.{part}").alias(part) for part in ("app", "terminal", "channel", "campaign")],
        F.concat_ws("/", F.lit("stream"), "topic", F.col("partition").cast("string")).alias("origin"),
        F.col("offset").alias("origin_position"),
    )


def _given_type() -> str:
    return "struct<type:string,scope:string,token:string,kid:string,value:string>"


def _is_declared(identifier: Column) -> Column:
    return F.coalesce(identifier["type"].isin(*IDENTIFIER_TYPES), F.lit(False))


def _as_identifier(identifier: Column) -> Column:
    return F.struct(
        identifier["type"].alias("type"),
        F.coalesce(identifier["scope"], F.lit("")).alias("scope"),
        F.unhex(identifier["token"]).alias("token"),
        identifier["kid"].alias("kid"),
    ).cast(IDENTIFIER_STRUCT)


def _strongest() -> Column:
    """The identifier of the strongest declared type; scope and token break ties, so that it never depends on order."""
    priorities = F.create_map(*[F.lit(part) for t in IDENTIFIER_TYPES.values() for part in (t.name, t.priority)])
    ranked = F.transform(
        "identifiers",
        lambda i: F.struct(
            priorities[i["type"]].alias("rank"),
            i["scope"].alias("scope"),
            i["token"].alias("token"),
            i["type"].alias("type"),
        ),
    )
    return F.array_min(ranked)


def _reason(workspaces: Sequence[str]) -> Column:
    """The first rule that refuses a message, in the order in which they can be asked."""
    rules: list[tuple[Column, str]] = [
        (F.col("value").isNull(), EMPTY),
        (~F.is_valid_utf8("body"), "not UTF-8"),
        (F.col("_corrupt").isNotNull(), "not a JSON object of the event schema"),
        *[(_is_blank(name), f"missing {name}") for name in _REQUIRED],
        (_is_blank("workspace_id"), "missing workspace_id"),
        (~F.col("workspace_id").isin(*workspaces), "unknown workspace"),
        (F.col("moment").isNull(), "occurred_at is not a time"),
        (F.col("moment") < F.lit(FIRST_EVENT_AT).cast("timestamp"), f"occurred_at is before {FIRST_EVENT_AT[:4]}"),
        (F.col("moment") > F.col("received_at") + F.lit(CLOCK_ERROR), "occurred_at is in the future"),
        (F.exists("given", lambda i: i["value"].isNotNull()), "clear identifier: producers must send tokens"),
        (F.exists("given", lambda i: _is_declared(i) & _is_no_token(i["token"])), "token is not 16 bytes in hex"),
        *_purchase_rules(),
    ]
    return reduce(
        lambda otherwise, rule: F.when(rule[0], F.lit(rule[1])).otherwise(otherwise),
        reversed(rules),
        F.lit(None).cast("string"),
    )


def _purchase_rules() -> list[tuple[Column, str]]:
    is_purchase = F.col("name") == PURCHASE
    lines = F.col("bought.lines")
    return [
        (is_purchase & F.col("subject_token").isNull(), "purchase without an identifier"),
        (
            is_purchase & (_is_blank("bought.order_id") | _is_blank("bought.store_id")),
            "purchase without order or store",
        ),
        (is_purchase & (F.coalesce(F.size(lines), F.lit(0)) < 1), "purchase without lines"),
        (is_purchase & F.exists(lines, _is_bad_line), "purchase line with a missing or wrong value"),
        (
            is_purchase & (F.size(F.array_distinct(F.transform(lines, lambda i: i["product_id"]))) < F.size(lines)),
            "purchase with the same product on two lines",
        ),
        (is_purchase & _is_too_large(lines), "purchase whose lines together are too large"),
    ]


def _is_too_large(lines: Column) -> Column:
    # What each line may be, all of them need not: a sum that leaves its column's type would fail the whole batch, and
    # the same batch again at every start.
    def total(part: Callable[[Column], Column], kind: str) -> Column:
        return F.aggregate(
            lines, F.lit(0).cast(kind), lambda so_far, line: (so_far + F.coalesce(part(line), F.lit(0))).cast(kind)
        )

    def money(line: Column) -> Column:
        parts = [F.coalesce(line[name].try_cast(MONEY), F.lit(0)).cast("decimal(38,2)") for name in _MONEY_FIELDS]
        return reduce(Column.__add__, parts)

    pieces = total(lambda line: line["quantity"].try_cast("bigint"), "decimal(38,0)")
    is_over = total(money, "decimal(38,2)") >= F.lit(_MONEY_LIMIT).cast("decimal(38,2)")
    return F.coalesce(is_over | (pieces > F.lit(_MOST_PIECES)), F.lit(False))


def _is_bad_line(line: Column) -> Column:
    quantity = line["quantity"].try_cast("bigint")
    bad = F.coalesce(line["product_id"] == "", F.lit(True)) | F.coalesce(quantity < 0, F.lit(True))
    for name in _MONEY_FIELDS:
        # Exact: a third decimal would be rounded away by the cast, so it is refused.
        value = line[name].try_cast("decimal(28,10)")
        exact = value == value.cast("decimal(20,2)")
        bad = bad | ~F.coalesce(
            exact & (value >= 0) & (value < F.lit(_MONEY_LIMIT).cast("decimal(28,10)")), F.lit(False)
        )
    return bad


def _is_blank(name: str) -> Column:
    return F.coalesce(F.trim(F.col(name)) == "", F.lit(True))


def _is_no_token(token: Column) -> Column:
    return ~F.coalesce(token.rlike(_TOKEN), F.lit(False))
