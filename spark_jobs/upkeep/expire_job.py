"""Delete rows that are older than their table's retention; where the settings name no table, nothing expires.

`[retention]` of the settings says how many days the rows of a table are kept, by the UTC day that it is partitioned by.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from pyspark.sql import SparkSession

from spark_jobs.contracts import core, derived, journeys
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings
from spark_jobs.storage import delta, runs
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.expiring import day_of, due, expire
from spark_jobs.upkeep.naming import tables_named

log = logging.getLogger(__name__)

ALL_WORKSPACES = "all"
# What tags are computed of: "never" is an answer only since the day from which history is complete.
HISTORY: tuple[Table, ...] = (
    *(core.EVENTS, core.ORDERS, core.ORDER_LINES, derived.SESSIONS),
    *(journeys.ORDER_CHANGES, journeys.SHARES, journeys.SHARE_ORDERS),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether anything is deleted."""
    parser.add_argument("--dry-run", action="store_true", help="tell what would go; delete nothing")


def preflight(settings: Settings, _args: argparse.Namespace) -> None:
    """Refuse retention of tables that have no days, or that makes a workspace's history incomplete, before Spark."""
    if problems := list(problems_of(settings, today=datetime.now(UTC).date())):
        raise TerminalError("; ".join(problems))


def problems_of(settings: Settings, *, today: date) -> Iterator[str]:
    """What is wrong with the retention that the settings name."""
    tables = tables_named([name for name, _ in settings.retention_days])
    for table, (_, days) in zip(tables, settings.retention_days, strict=True):
        if day_of(table) is None:
            yield f"[retention] {table.name} is not partitioned by days, so nothing of it can expire; leave it out"
            continue
        first = first_kept(today, days)
        early = [one.name for one in settings.workspaces if one.history_complete_since < first]
        if table in HISTORY and early:
            yield (
                f"[retention] {table.name} would be kept since {first} alone, and history_complete_since of "
                f"{', '.join(early)} lies before: tags would say 'never' of what was deleted; keep more days, or set "
                f"history_complete_since to {first} or later"
            )


def first_kept(today: date, days: int) -> date:
    """The first day that stays: so many whole days before today, and today."""
    return today - timedelta(days=days)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Expire what is due, table by table; how many rows, and of which days."""
    lake, today = Lake(spark, settings.storage_root), datetime.now(UTC).date()
    facts: dict[str, object] = {"deleted": not args.dry_run, "tables": 0, "rows": 0, "by_table": {}}
    if not settings.retention_days:
        return facts
    with runs.recorded(lake, "expire", ALL_WORKSPACES) as recorded:
        found = _expired(lake, settings, today, is_dry_run=args.dry_run)
        recorded.rows_out = sum(int(str(one["rows"])) for one in found.values())
        recorded.detail.update({"dry run": bool(args.dry_run), "tables": len(found)})
    by_table = {name: one for name, one in found.items() if one["rows"]}
    return {**facts, "tables": len(found), "rows": recorded.rows_out, "by_table": by_table}


def _expired(lake: Lake, settings: Settings, today: date, *, is_dry_run: bool) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = {}
    tables = tables_named([name for name, _ in settings.retention_days])
    for table, (_, days) in zip(tables, settings.retention_days, strict=True):
        if not delta.exists(lake, table):
            continue
        first = first_kept(today, days)
        gone = due(lake, table, before=first)
        if gone.rows and not is_dry_run:
            expire(lake, table, before=first)
            log.info("%s: %d rows of days before %s expired", table.name, gone.rows, first)
        oldest = gone.oldest.isoformat() if gone.oldest else None
        found[table.name] = {"rows": gone.rows, "oldest": oldest, "kept_since": first.isoformat()}
    return found
