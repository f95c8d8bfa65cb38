"""Audit Delta tables from their folders alone: whole logs, every file there, totals as noted; changes nothing.

Before writers start after a crash, and every night: a commit that became empty reads as "nothing happened", and the
next append would make the loss permanent.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.tables import STREAMED, TABLES
from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings
from spark_jobs.storage import delta, delta_log
from spark_jobs.storage.delta import Lake
from spark_jobs.upkeep import auditing
from spark_jobs.upkeep.naming import refuse_absent, tables_named

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Audited:
    """One table: its newest version, its live files and bytes, and what is wrong with it."""

    table: str
    version: int | None = None
    files: int = 0
    bytes: int = 0
    has_checksum: bool = False
    problems: list[str] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which tables; all that exist where none is named."""
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--table", action="append", metavar="SCHEMA.TABLE", help="audit this table alone; repeatable")
    some.add_argument("--streamed", action="store_true", help="audit what the stream writes, before it starts again")


def preflight(_settings: Settings, args: argparse.Namespace) -> None:
    """Refuse a table that no contract names, before Spark starts."""
    tables_named(args.table or ())


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Audit the tables; TerminalError lists all problems of all tables."""
    lake = Lake(spark, settings.storage_root)
    named = tables_named(args.table or ())
    tables = named or list(STREAMED if args.streamed else TABLES)
    there = [table for table in tables if delta.exists(lake, table)]
    refuse_absent(lake.root, named, there)
    audited = []
    for table in there:
        one = audit(lake, table)
        log.info("%s: version %s, %d files, %d problems", one.table, one.version, one.files, len(one.problems))
        audited.append(one)
    if wrong := [f"  {one.table}: {problem}" for one in audited for problem in one.problems]:
        raise TerminalError(
            "\n".join(
                [
                    f"{len(wrong)} problems in {len(audited)} tables:",
                    *wrong,
                    "let no writer start; restore what is missing from the backup, then audit again",
                ]
            )
        )
    return {
        "tables": len(audited),
        "files": sum(one.files for one in audited),
        "bytes": sum(one.bytes for one in audited),
        "without checksum file": [one.table for one in audited if not one.has_checksum],
    }


def audit(lake: Lake, table: Table) -> Audited:
    """Look at one table; a log that cannot be replayed ends the look early."""
    found = Audited(table.name)
    seen = auditing.log_of(delta_log.log_files(lake, table))
    found.version = seen.newest
    found.problems += seen.problems()
    if not found.problems:
        found.problems += _replay_problems(lake, table, seen, found)
    return found


def _replay_problems(lake: Lake, table: Table, seen: auditing.Log, found: Audited) -> Iterator[str]:
    newest = seen.newest or 0
    lines = delta_log.log_lines(lake, table, after=seen.checkpoint, until=newest)
    broken = auditing.broken_lines(lines).groupBy("version").count().orderBy("version").limit(auditing.SHOWN).collect()
    yield from (f"commit {row['version']} has {row['count']} lines that are no action" for row in broken)
    actions = auditing.actions_of(lines)
    (newest_txn,) = actions.where(F.col("version") == newest).agg(F.max("commitInfo.txnId")).collect()[0]
    said = actions.select("version", "add", "remove")
    if seen.checkpoint != auditing.NO_CHECKPOINT:
        said = said.unionByName(delta_log.checkpoint_actions(lake, table, version=seen.checkpoint))
    files = auditing.with_length(auditing.live_files(said), delta_log.data_files(lake, table))
    row = auditing.totals(files).collect()[0].asDict()
    found.files, found.bytes = row["files"], row["bytes"]
    if row["absent"] or row["other_length"]:
        examples = auditing.differing(files).orderBy("path").limit(auditing.SHOWN).collect()
        yield (
            f"of {row['files']} live files {row['absent']} are missing and {row['other_length']} have another length "
            f"than the log says: {', '.join(one['path'] for one in examples)}"
        )
    noted = delta_log.checksum(lake, table, version=newest)
    found.has_checksum = noted is not None
    if noted is not None and newest == seen.checkpoint:
        noted["txnId"] = None  # the replay begins behind this commit, so it has not met its transaction
    yield from auditing.checksum_problems(noted, row, newest_txn)
