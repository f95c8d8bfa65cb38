"""How good identity is: coverage per source and type, hubs, the largest persons, and links that hold two big parts."""

from __future__ import annotations

import argparse
import time

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS
from spark_jobs.identity import asking, looking, measuring
from spark_jobs.identity.asking import Asked
from spark_jobs.identity.naming import shown
from spark_jobs.people.resolve import with_person
from spark_jobs.settings import Settings
from spark_jobs.storage import delta

# Rows of each list; what is in them is counted whole.
MOST = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """As it was known when."""
    parser.add_argument("--known-at", metavar="TIME", help="as the platform knew it then; default: now")


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Measures of one snapshot; nothing is written.

    Work: every event is joined to the map once, links and map are aggregated, and one search goes over the links of
    persons of 20 identifiers and more. Precision and recall need a truth, which an installation has not.
    """
    asked, began = asking.opened(spark, settings, args.known_at), time.monotonic()
    held, states = looking.held_for_good(asked.map()), asked.states()
    events = with_person(delta.read(asked.lake, EVENTS), asked.map())
    return {
        "snapshot_id": asked.snapshot.snapshot_id,
        "links": _reasons(states),
        "sources": _rows(measuring.of_sources(events, asked.ledger())),
        "types": _rows(measuring.of_types(asked.identifiers(), held)),
        "sizes": _rows(measuring.of_persons(held)),
        "largest": _rows(measuring.largest(held).limit(MOST)),
        "hubs": _hubs(asked, states),
        "bridges": _bridges(asked, states, held),
        "seconds": round(time.monotonic() - began, 1),
    }


def _rows(rows: DataFrame) -> list[dict[str, object]]:
    return [row.asDict() for row in rows.collect()]


def _reasons(states: DataFrame) -> dict[str, int]:
    counted = states.groupBy("state", "reason").agg(F.count(F.lit(1)).alias("links")).orderBy("state", "reason")
    return {f"{row['state']}: {row['reason']}": int(row["links"]) for row in counted.collect()}


def _hubs(asked: Asked, states: DataFrame) -> list[dict[str, object]]:
    rows = measuring.hubs(states, asked.identifiers()).limit(MOST).collect()
    names = [shown(row["type"], row["scope"], bytes(row["token"])) for row in rows]
    return [{"identifier": name, "links": int(row["links"])} for name, row in zip(names, rows, strict=True)]


def _bridges(asked: Asked, states: DataFrame, held: DataFrame) -> list[dict[str, object]]:
    rows = measuring.bridges(states, held).limit(MOST).collect()
    names = asking.names(asked, [int(row[end]) for row in rows for end in looking.ENDS])
    return [
        {
            "person_id": row["person_id"],
            "from": names[int(row["identifier_a"])],
            "to": names[int(row["identifier_b"])],
            "part": int(row["part"]),
            "whole": int(row["whole"]),
        }
        for row in rows
    ]
