"""Cut the events of resolved persons into visits, all days or a range of days."""

from __future__ import annotations

import argparse
import time
from datetime import date, timedelta

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS
from spark_jobs.contracts.derived import SESSIONS
from spark_jobs.errors import TerminalError
from spark_jobs.people.resolve import with_person
from spark_jobs.sessions.sessionize import count_resolved, sessionize
from spark_jobs.settings import Settings
from spark_jobs.storage import delta, runs
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import published_map, published_snapshot

ALL_WORKSPACES = "all"
# A visit may cross midnight: events of the day before tell whether one began there, of the day after where it ends.
MARGIN = timedelta(days=1)
FIRST_DATE, LAST_DATE = date(1990, 1, 1), date(9999, 1, 1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The range of days, half-open; all days where it is not given."""
    parser.add_argument("--since", type=date.fromisoformat, default=FIRST_DATE, help="first UTC day (default: all)")
    parser.add_argument("--until", type=date.fromisoformat, default=LAST_DATE, help="UTC day after the last one")


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Replace the visits that began on the days since <= day < until; the same call again changes nothing."""
    if args.since >= args.until:
        raise TerminalError(f"--since {args.since} is not before --until {args.until}; give the day after the last one")
    lake, began = Lake(spark, settings.storage_root), time.monotonic()
    delta.ensure(lake, EVENTS)
    with runs.recorded(lake, "sessions", ALL_WORKSPACES) as recorded:
        snapshot = published_snapshot(lake)
        snapshot_id, people = snapshot.snapshot_id, published_map(lake, snapshot)
        # The stream goes on: what is cut and what is counted are the same events.
        version = delta.current_version(lake, EVENTS)
        events = _events(lake, args.since - MARGIN, args.until + MARGIN, version).transform(with_person, people)
        is_in_range = f"session_date >= DATE '{args.since}' AND session_date < DATE '{args.until}'"
        sessions = sessionize(events).where(is_in_range).withColumn("snapshot_id", F.lit(snapshot_id))
        # Few files a day, and no task with all of a big day.
        delta.replace_where(sessions.hint("rebalance", "session_date"), lake, SESSIONS, is_in_range)
        counted = count_resolved(
            _events(lake, args.since, args.until, version).transform(with_person, people)
        ).collect()[0]
        written = delta.read(lake, SESSIONS).where(is_in_range).count()
        recorded.rows_in, recorded.rows_out = int(counted["events"]), int(written)
        unresolved = int(counted["events"] - counted["resolved"])
        recorded.detail.update({"events without a person": unresolved, "snapshot_id": snapshot_id})
    return {
        "events": recorded.rows_in,
        "events without a person": unresolved,
        "sessions": recorded.rows_out,
        "snapshot_id": snapshot_id,
        "seconds": round(time.monotonic() - began, 1),
    }


def _events(lake: Lake, since: date, until: date, version: int) -> DataFrame:
    return delta.read_days(lake, EVENTS, since=since, until=until, version=version)
