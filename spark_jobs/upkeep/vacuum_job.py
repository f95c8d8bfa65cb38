"""Delete files that no version of a table needs any more: replaced ones, and those that a killed writer left behind.

Nothing goes that is younger than the table's retention (a week), or left the table later: who reads an older version,
and who has not committed yet what is written, is not disturbed.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import asdict, dataclass

from pyspark.sql import SparkSession

from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.tables import TABLES
from spark_jobs.settings import Settings
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.vacuum import totals, unneeded, vacuum
from spark_jobs.upkeep.naming import refuse_absent, tables_named

log = logging.getLogger(__name__)

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Unneeded:
    """What is not needed of one table, and the first paths of it."""

    files: int
    bytes: int
    empty_folders: int
    such_as: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which tables, and whether anything is deleted."""
    parser.add_argument("--table", action="append", metavar="SCHEMA.TABLE", help="this table alone; repeatable")
    parser.add_argument("--dry-run", action="store_true", help="tell what would go; delete nothing")


def preflight(_settings: Settings, args: argparse.Namespace) -> None:
    """Refuse a table that no contract names, before Spark starts."""
    tables_named(args.table or ())


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Look at each table, and delete what it does not need unless this is a dry run."""
    lake = Lake(spark, settings.storage_root)
    named = tables_named(args.table or ())
    there = [table for table in named or TABLES if delta.exists(lake, table)]
    refuse_absent(lake.root, named, there)
    found = {table.name: tidied(lake, table, is_dry_run=args.dry_run) for table in there}
    sums = {name: sum(getattr(one, name) for one in found.values()) for name in ("files", "bytes", "empty_folders")}
    by_table = {name: asdict(one) for name, one in found.items() if one.files or one.empty_folders}
    return {"deleted": not args.dry_run, "tables": len(there), **sums, "by_table": by_table}


def tidied(lake: Lake, table: Table, *, is_dry_run: bool) -> Unneeded:
    """What was not needed of a table; it is gone unless this is a dry run."""
    paths = unneeded(lake, table)
    files, length, folders = totals(paths)
    if not files and not folders:  # a vacuum of nothing would be two commits
        return Unneeded(0, 0, 0)
    shown = tuple(row["path"] for row in paths.orderBy("path").limit(SHOWN).collect()) if is_dry_run else ()
    if not is_dry_run:
        vacuum(lake, table)
        log.info("%s: deleted %d files, %d bytes, %d empty folders", table.name, files, length, folders)
    return Unneeded(files, length, folders, shown)
