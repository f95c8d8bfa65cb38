"""Who an identifier belongs to, now or at a moment, as known now or then; or whom a master id resolves to."""

from __future__ import annotations

import argparse

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.identity import asking, looking
from spark_jobs.identity.asking import Asked
from spark_jobs.identity.naming import PersonName, ValueName, moment_of, named, shown, value_named
from spark_jobs.people.system_time import moment
from spark_jobs.settings import Settings

PERSON = "person"
# Spans of one shared device that are listed; all of them are counted.
MOST_SPANS = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What, and when."""
    parser.add_argument("type", metavar="TYPE", help=f"identifier type, or `{PERSON}` for a master id")
    parser.add_argument("value", metavar="VALUE", help="the value in clear, or token:HEX")
    parser.add_argument("--scope", help="app, account or site within which it counts; default: all that are known")
    parser.add_argument(
        "--at", metavar="TIME", help="whose it was then (2018-01-01T03:00:00+00:00); default: all spans"
    )
    parser.add_argument("--known-at", metavar="TIME", help="as the platform knew it then; default: now")


def preflight(_settings: Settings, args: argparse.Namespace) -> None:
    """Refuse what names nothing before Spark starts."""
    _name(args)
    for option in ("at", "known_at"):
        if getattr(args, option) is not None:
            moment_of(getattr(args, option), f"--{option.replace('_', '-')}")


def _name(args: argparse.Namespace) -> PersonName | ValueName:
    if args.type == PERSON:
        name = named(args.value)
        if isinstance(name, PersonName):
            return name
    return value_named(args.type, args.scope, args.value)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The answer; nothing is written. One scan of tokens and scopes, then rows of the identifiers found."""
    asked, name = asking.opened(spark, settings, args.known_at), _name(args)
    known = {"snapshot_id": asked.snapshot.snapshot_id, "at": args.at, "known_at": args.known_at}
    if isinstance(name, PersonName):
        end = asking.end_of(asked, name)
        return {"person_id": end.home, "survivor_id": end.person_id, "is_living": end.home == end.person_id, **known}
    found = asking.numbered(asked, name)
    return {"type": name.type, "seen": len(found), **known, "answers": [_answer(asked, row, args.at) for row in found]}


def _answer(asked: Asked, row: Row, at: str | None) -> dict[str, object]:
    number = int(row["identifier_no"])
    spans = _spans(asked.map().where(F.col("identifier_no") == number), at)
    ordered = spans.orderBy("valid_from").limit(MOST_SPANS)
    held = [span.asDict() for span in ordered.collect()]
    return {
        "identifier": shown(row["type"], row["scope"], bytes(row["token"])),
        "identifier_no": number,
        "spans": spans.count() if len(held) == MOST_SPANS else len(held),
        "held_by": held,
        "links": _links(asked, number),
    }


def _spans(rows: DataFrame, at: str | None) -> DataFrame:
    if at is not None:
        at_us = moment(moment_of(at, "--at"))
        rows = rows.where((F.col("valid_from") <= at_us) & (F.col("valid_to") > at_us))
    return rows.select("person_id", "person_no", looking.instant("valid_from"), looking.instant("valid_to"))


def _links(asked: Asked, number: int) -> dict[str, int]:
    """How many links it has, by state and reason: why it is nobody's, where it is."""
    mine = asked.states().where((F.col("identifier_a") == number) | (F.col("identifier_b") == number))
    counted = mine.groupBy("state", "reason").agg(F.count(F.lit(1)).alias("links")).orderBy("state", "reason")
    return {f"{row['state']}: {row['reason']}": int(row["links"]) for row in counted.collect()}
