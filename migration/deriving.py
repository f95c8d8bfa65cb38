"""Derive: history's order lines become orders, and each order one purchase event; the same keys as the live stream's.

What is derived is a function of the migrated lines alone: rows that stand otherwise are written anew, rows whose lines
left are taken out, and repeating it changes nothing. It stands even beside a live row with the same key; settling then
takes the live one out, so the outcome does not depend on who came first. A row that history itself brought into these
tables goes before one that would be derived, and so does a newer live one where the lines go by an order column.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial, reduce

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.fencing import check_fence
from migration.jobfile import Touchpoint
from migration.settling import LIVE, settle
from migration.work import Work
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.ingest.purchases import orders_from_lines, purchase_events
from spark_jobs.storage import delta
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Merged, row_digest

_MIGRATED = "migration/"
_DERIVED = f"{_MIGRATED}{ORDER_LINES.name}/"  # a derived row has the origin of its first line

_TWICE, _WITHOUT_LINES = "stand more than once", "without their lines"


@dataclass(frozen=True, slots=True)
class Derived:
    """Orders found in history, what became of derived rows this time, and live rows that history replaced."""

    orders: int = 0
    rows: Merged = Merged()  # noqa: RUF009 - it is frozen
    replaced: int = 0


def derive(work: Work) -> Derived:
    """Make the derived rows of `core.orders` and `core.events` what migrated order lines say; safe to repeat."""
    if work.job.derive is None:
        return Derived()
    rows = Merged()
    with _orders(work) as orders:
        for table, wanted in _wanted(orders, work.job.derive):
            delta.ensure(work.lake, table)
            rows += _put(work, wanted, table)
        found = orders.count()
    check = partial(check_fence, work)
    replaced = 0
    for table in work.job.derived:
        by = work.job.newest_by(table)
        replaced += settle(work.lake, table, run_id=work.run_id, newest_by=by, check=check).live
    return Derived(found, rows, replaced)


def check_derived(work: Work, table: Table) -> dict[str, int]:
    """Raise TerminalError where rows that are derived from a table are not what its rows say.

    Out: the version at which each derived table was looked at.
    """
    if work.job.derive is None or table != ORDER_LINES:
        return {}
    problems, versions = [], dict[str, int]()
    with _orders(work) as orders:
        for derived, wanted in _wanted(orders, work.job.derive):
            delta.ensure(work.lake, derived)
            versions[derived.name] = delta.current_version(work.lake, derived)
            found = _differences(work, wanted, derived).groupBy("problem").count().collect()
            told = [f"{row['count']} {row['problem']}" for row in sorted(found, key=lambda row: row["problem"])]
            problems += [f"  {derived.name}: {', '.join(told)}"] if told else []
    if problems:
        raise TerminalError(
            "\n".join([f"not derived from {table.name} as it is:", *problems, "run `migration derive`, then `verify`"])
        )
    return versions


@contextmanager
def _orders(work: Work) -> Iterator[DataFrame]:
    """The orders of the workspace's migrated lines, kept while they are needed."""
    lines = delta.read(work.lake, ORDER_LINES).where(_is_migrated(work))
    orders = orders_from_lines(lines).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield orders
    finally:
        orders.unpersist()


def _wanted(orders: DataFrame, touchpoint: Touchpoint) -> Iterator[tuple[Table, DataFrame]]:
    yield ORDERS, orders
    yield EVENTS, purchase_events(orders, app=touchpoint.app, terminal=touchpoint.terminal)


def _is_migrated(work: Work) -> Column:
    return F.startswith("origin", F.lit(_MIGRATED)) & (F.col("workspace_id") == work.job.workspace)


def _differences(work: Work, wanted: DataFrame, table: Table) -> DataFrame:
    """What must change until derived rows stand as wanted, each once: rows of the table, and why.

    Out: the contract's columns, the key alone where the row must leave (`is_gone`); `problem`; the days on which it
    stands (`first_day`, `last_day`). A row that stands more than once leaves, and is missing the next time.
    """
    key, day = list(table.key), table.partition_by[0]
    is_derived = F.startswith("origin", F.lit(_DERIVED))
    migrated = delta.read(work.lake, table).where(_is_migrated(work))
    rows = delta.conform(wanted, table).join(migrated.where(~is_derived).select(*key), on=key, how="left_anti")
    if newest_by := work.job.newest_by(table):
        rows = _not_outdated(work, rows, table, newest_by)
    standing = migrated.where(is_derived).withColumn("held", row_digest(table.types)).groupBy(*key)
    # Unique on the key, as the orders are, so this cannot add rows.
    held = standing.agg(
        F.count(F.lit(1)).alias("times"),
        F.max("held").alias("held"),
        F.min(day).alias("first_day"),
        F.max(day).alias("last_day"),
    )
    both = rows.withColumn("digest", row_digest(table.types)).join(held, on=key, how="full_outer")
    problem = (
        F.when(F.col("times") > 1, _TWICE)
        .when(F.col("digest").isNull(), _WITHOUT_LINES)
        .when(F.col("held").isNull(), "missing")
        .when(F.col("held") != F.col("digest"), "differ")
    )
    is_gone = F.col("problem").isin(_TWICE, _WITHOUT_LINES)
    found = both.withColumn("problem", problem).where(F.col("problem").isNotNull()).withColumn("is_gone", is_gone)
    return found.select(*table.column_names, "problem", "is_gone", "first_day", "last_day")


def _not_outdated(work: Work, rows: DataFrame, table: Table, newest_by: str) -> DataFrame:
    """Without the rows of which the live stream brought a newer version: settling would take just these."""
    live = delta.read(work.lake, table).where(F.startswith("origin", F.lit(LIVE)))
    theirs = live.select(*[F.col(name).alias(f"live_{name}") for name in table.key], F.col(newest_by).alias("live_at"))
    same = reduce(Column.__and__, [F.col(name) == F.col(f"live_{name}") for name in table.key])
    return rows.join(theirs, same & (F.col("live_at") > F.col(newest_by)), "left_anti")


def _put(work: Work, wanted: DataFrame, table: Table) -> Merged:
    """Let derived rows stand as wanted; what was done to them."""
    done, is_done = Merged(), False
    while not is_done:
        merged, is_done = until_committed(lambda: _put_once(work, wanted, table), f"deriving {table.name}")
        done += merged
    return done


def _put_once(work: Work, wanted: DataFrame, table: Table) -> tuple[Merged, bool]:
    """What one commit did; true where nothing is left to do."""
    # Kept: a merge reads what it is given more than once, and writes all that it matches, changed or not.
    changes = _differences(work, wanted, table).persist(StorageLevel.MEMORY_AND_DISK)
    day = table.partition_by[0]
    try:
        found = changes.agg(
            F.count_if(F.col("problem") == _TWICE).alias("twice"),
            F.min(F.least(day, "first_day")).alias("first"),
            F.max(F.greatest(day, "last_day")).alias("last"),
        ).collect()[0]
        if found["first"] is None:
            return Merged(), True
        work.lease.check()
        # Naming the days keeps live commits to other days from being conflicts, and other days from being read.
        days = f"old.`{day}` BETWEEN DATE '{found['first']}' AND DATE '{found['last']}'"
        within = f"{days} AND startswith(old.origin, '{_DERIVED}')"
        return delta.merge_changes(changes, work.lake, table, within=within), not found["twice"]
    finally:
        changes.unpersist()
