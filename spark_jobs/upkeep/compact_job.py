"""Put small files of tables together, so that readers open few: a stream leaves some every few seconds.

Rows stay as they are, and so does what older versions show; replaced files go with a later vacuum.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict

from pyspark.sql import SparkSession

from spark_jobs.contracts.derived import PERSON_TAGS, TAG_REFUSED, TAG_TIMERS
from spark_jobs.contracts.tables import TABLES
from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings
from spark_jobs.storage import delta
from spark_jobs.storage.compaction import compact
from spark_jobs.storage.delta import Lake
from spark_jobs.upkeep.naming import refuse_absent, tables_named

log = logging.getLogger(__name__)

DAYS = 35
# Their rows come in generations that go as a whole, with their files; put together, they would have to be written anew.
IN_GENERATIONS = (PERSON_TAGS, TAG_TIMERS, TAG_REFUSED)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which tables, and how far back."""
    parser.add_argument("--table", action="append", metavar="SCHEMA.TABLE", help="this table alone; repeatable")
    parser.add_argument(
        "--days", type=int, default=DAYS, help="of tables with days only the last ones (default %(default)s)"
    )


def preflight(_settings: Settings, args: argparse.Namespace) -> None:
    """Refuse a table that no contract names, and days that are none, before Spark starts."""
    tables_named(args.table or ())
    if args.days < 1:
        raise TerminalError(f"--days is {args.days}, wanted 1 or more")


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Compact each table; how many files became how many."""
    lake = Lake(spark, settings.storage_root)
    named = tables_named(args.table or ())
    every = [table for table in TABLES if table not in IN_GENERATIONS]
    there = [table for table in named or every if delta.exists(lake, table)]
    refuse_absent(lake.root, named, there)
    found = {}
    for table in there:
        one = compact(lake, table, days=args.days)
        if one.removed:
            log.info("%s: %d files became %d", table.name, one.removed, one.added)
            found[table.name] = asdict(one)
    removed, added = (sum(one[name] for one in found.values()) for name in ("removed", "added"))
    return {"tables": len(there), "removed": removed, "added": added, "by_table": found}
