"""Derive: history's order lines become orders, and each order one purchase event; the same keys as the live stream's.

What is derived is a function of the migrated lines alone: rows that stand otherwise are written anew, rows whose lines
left are taken out, and repeating it changes nothing. It stands even beside a live row with the same key; settling then
takes the live one out, so the outcome does not depend on who came first. A row that history itself brought into these
tables goes before one that would be derived, and so does a newer live one where the lines go by an order column.

Rows are written and taken out in one commit of a transaction that knows the fence, as a copy's are (`Append`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial, reduce

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from migration.commits import derive_facts
from migration.fencing import check_fence, fence_table
from migration.jobfile import Touchpoint
from migration.settling import LIVE, settle
from migration.work import Work
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.ingest.purchases import orders_from_lines, purchase_events
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append, packed
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Transaction, row_digest

_MIGRATED = "migration/"
_DERIVED = f"{_MIGRATED}{ORDER_LINES.name}/"  # a derived row has the origin of its first line

_TURN = "migration/derive"  # a transaction's application: of two derivations the second looks again at what is there


@dataclass(frozen=True, slots=True)
class Changed:
    """How many derived rows came new, were written anew, and left without another in their place."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def __add__(self, other: Changed) -> Changed:
        """Both together."""
        return Changed(self.inserted + other.inserted, self.updated + other.updated, self.deleted + other.deleted)


@dataclass(frozen=True, slots=True)
class Derived:
    """Orders found in history, what became of derived rows this time, and live rows that history replaced."""

    orders: int = 0
    rows: Changed = Changed()
    replaced: int = 0


def derive(work: Work) -> Derived:
    """Make the derived rows of `core.orders` and `core.events` what migrated order lines say; safe to repeat."""
    if work.job.derive is None:
        return Derived()
    rows = Changed()
    with _orders(work) as orders:
        for table, wanted in _wanted(orders, work.job.derive):
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
            version = versions[derived.name]
            found = _differences(work, wanted, derived, version=version).groupBy("problem").count().collect()
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
    with _kept(orders_from_lines(lines)) as orders:
        yield orders


@contextmanager
def _kept(rows: DataFrame) -> Iterator[DataFrame]:
    rows = rows.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield rows
    finally:
        rows.unpersist()


def _wanted(orders: DataFrame, touchpoint: Touchpoint) -> Iterator[tuple[Table, DataFrame]]:
    yield ORDERS, orders
    yield EVENTS, purchase_events(orders, app=touchpoint.app, terminal=touchpoint.terminal)


def _is_migrated(work: Work) -> Column:
    return F.startswith("origin", F.lit(_MIGRATED)) & (F.col("workspace_id") == work.job.workspace)


def _differences(work: Work, wanted: DataFrame, table: Table, *, version: int) -> DataFrame:
    """What must change until derived rows stand as wanted, each once: rows of the table, and why.

    Out: the contract's columns, the key alone where no row must stand; `problem`; how often a row stands now (`times`),
    and the first and the last of the days where it does (`first_day`, `last_day`).
    """
    key, day = list(table.key), table.partition_by[0]
    migrated = delta.read(work.lake, table, version=version).where(_is_migrated(work))
    rows = delta.conform(wanted, table).join(migrated.where(~_is_derived()).select(*key), on=key, how="left_anti")
    if newest_by := work.job.newest_by(table):
        rows = _not_outdated(delta.read(work.lake, table, version=version), rows, table, newest_by)
    standing = migrated.where(_is_derived()).withColumn("held", row_digest(table.types)).groupBy(*key)
    # Unique on the key, as the orders are, so this cannot add rows.
    held = standing.agg(
        F.count(F.lit(1)).alias("times"),
        F.max("held").alias("held"),
        F.min(day).alias("first_day"),
        F.max(day).alias("last_day"),
    )
    both = rows.withColumn("digest", row_digest(table.types)).join(held, on=key, how="full_outer")
    problem = (
        F.when(F.col("times") > 1, "stand more than once")
        .when(F.col("digest").isNull(), "without their lines")
        .when(F.col("held").isNull(), "missing")
        .when(F.col("held") != F.col("digest"), "differ")
    )
    found = both.withColumns({"problem": problem, "is_wanted": F.col("digest").isNotNull()})
    found = found.where(F.col("problem").isNotNull()).withColumn("times", F.coalesce("times", F.lit(0)))
    return found.select(*table.column_names, "problem", "is_wanted", "times", "first_day", "last_day")


def _is_derived() -> Column:
    return F.startswith("origin", F.lit(_DERIVED))


def _not_outdated(there: DataFrame, rows: DataFrame, table: Table, newest_by: str) -> DataFrame:
    """Without the rows of which the live stream brought a newer version: settling would take just these."""
    live = there.where(F.startswith("origin", F.lit(LIVE)))
    theirs = live.select(*[F.col(name).alias(f"live_{name}") for name in table.key], F.col(newest_by).alias("live_at"))
    same = reduce(Column.__and__, [F.col(name) == F.col(f"live_{name}") for name in table.key])
    return rows.join(theirs, same & (F.col("live_at") > F.col(newest_by)), "left_anti")


def _put(work: Work, wanted: DataFrame, table: Table) -> Changed:
    """Let derived rows stand as wanted; what was done to them."""
    delta.ensure(work.lake, table)
    fence_table(work, table)  # it may be new: who lost the job must not fill it either
    done = None
    while done is None:
        done = until_committed(partial(_put_once, work, wanted, table), f"deriving {table.name}")
    return done


def _put_once(work: Work, wanted: DataFrame, table: Table) -> Changed | None:
    """What one commit changed; None where another derivation came meanwhile, and it must be looked again."""
    with Append(work.lake, table) as transaction:
        check_fence(work, transaction)
        turn = transaction.newest(_TURN)
        # Kept: it is asked what it holds, written, and looked up in the table.
        with _kept(_differences(work, wanted, table, version=transaction.version)) as changes:
            found = _counted(changes, table)
            if found["first"] is None:
                return Changed()
            transaction.write(packed(changes.where("is_wanted"), table))
            # A compaction that came while this was found and written is no conflict so; live rows are none at all.
            transaction.begin_again()
            check_fence(work, transaction)
            if transaction.newest(_TURN) != turn:
                return None
            if found["standing"]:
                stale = _stale(delta.read(work.lake, table, version=transaction.version), changes, table, found)
                with _kept(stale) as gone:
                    transaction.take_out(gone, on=[*table.key, "origin"])
        work.lease.check()
        updated = int(found["updated"])
        done = Changed(int(found["wanted"]) - updated, updated, int(found["standing"]) - updated)
        facts = derive_facts(work.plan.plan_id, work.job.name, asdict(done), run_id=work.run_id)
        transaction.commit(Transaction(_TURN, turn + 1), facts=facts)
    return done


def _counted(changes: DataFrame, table: Table) -> Row:
    """How many rows are `wanted`, how many are `standing` now and go, in how many keys both; `first` and `last` day."""
    day, is_standing = table.partition_by[0], F.col("times") > 0
    return changes.agg(
        F.count_if("is_wanted").alias("wanted"),
        F.coalesce(F.sum("times"), F.lit(0)).alias("standing"),
        F.count_if(F.col("is_wanted") & is_standing).alias("updated"),
        F.min(F.least(day, "first_day")).alias("first"),
        F.max(F.greatest(day, "last_day")).alias("last"),
    ).collect()[0]


def _stale(there: DataFrame, changes: DataFrame, table: Table, found: Row) -> DataFrame:
    """The derived rows that stand and must go, wherever they stand: key, origin and day. Other days are not read."""
    day = table.partition_by[0]
    derived = there.where(_is_derived() & F.col(day).between(found["first"], found["last"]))
    names = dict.fromkeys((*table.key, "origin", day))
    # A semi join: it adds no rows.
    return derived.select(*names).join(changes.where("times > 0"), on=list(table.key), how="left_semi")
