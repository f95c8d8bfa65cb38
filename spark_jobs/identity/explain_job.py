"""Why two are one person: a shortest path of the links that hold the person together, with the events behind them."""

from __future__ import annotations

import argparse

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from spark_jobs.errors import TerminalError
from spark_jobs.identity import asking, looking
from spark_jobs.identity.asking import Asked, End
from spark_jobs.identity.naming import moment_of, named
from spark_jobs.settings import Settings

# One task searches the links of one person: 0.7 GB; 8 CPU seconds where they form a random tree, 6 minutes in a chain.
MOST_LINKS = 5_000_000
MOST_STEPS = 1_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which two."""
    for side in ("a", "b"):
        parser.add_argument(side, metavar=side.upper(), help="a master id, or TYPE:VALUE, TYPE@SCOPE:VALUE")
    parser.add_argument("--known-at", metavar="TIME", help="as the platform knew it then; default: now")


def preflight(_settings: Settings, args: argparse.Namespace) -> None:
    """Refuse what names nothing before Spark starts."""
    for text in (args.a, args.b):
        named(text)
    if args.known_at is not None:
        moment_of(args.known_at, "--known-at")


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The answer; nothing is written.

    Work: scans of the map and of link states that keep the one person's rows, then one search over at most MOST_LINKS
    links; TerminalError where the person has more.
    """
    asked = asking.opened(spark, settings, args.known_at)
    a, b = (asking.end_of(asked, named(text)) for text in (args.a, args.b))
    head = {"a": a.name, "b": b.name, "snapshot_id": asked.snapshot.snapshot_id}
    if a.person_id is None or a.person_id != b.person_id:
        answer = "they are two persons, or one that nobody holds for good: ask `identity why-not`"
        return {**head, "joined": False, "persons": [a.person_id, b.person_id], "answer": answer}
    steps, path = path_between(asked, a, b)
    return {**head, "joined": True, "person_id": a.person_id, "steps": steps, "path": path}


def path_between(asked: Asked, a: End, b: End) -> tuple[int, list[dict[str, object]]]:
    """How many links lead from one end to the other of the same person, and the first MOST_STEPS with their evidence.

    Nothing where the two are one identifier; TerminalError where the person has more than MOST_LINKS links.
    """
    flags = looking.flagged(asking.members(asked, a), asked.homes(), start=_is_of(a), end=_is_of(b))
    links = looking.used_links(asked.states(), flags)
    counted = links.count()
    if counted > MOST_LINKS:
        raise TerminalError(
            f"{a.person_id} is held together by {counted} links, a search takes {MOST_LINKS} at most; a person of that "
            "size is a fault: look for its hubs with `identity quality`"
        )
    rows = looking.path_of(links, most_steps=MOST_STEPS).orderBy("step").collect()
    ways = [(int(row["from_no"]), int(row["to_no"])) for row in rows]
    names = asking.names(asked, [number for way in ways for number in way])
    told = asking.evidence(asked, ways)
    path: list[dict[str, object]] = [
        {"from": names[x], "to": names[y], "evidence": told.get((min(x, y), max(x, y)), [])} for x, y in ways
    ]
    return (int(rows[0]["steps"]) if rows else 0), path


def _is_of(end: End) -> Column:
    """The identifier itself; of a person, what belongs to it when every merge is undone."""
    return F.col("identifier_no") == F.lit(end.number) if end.number is not None else F.col("home") == F.lit(end.home)
