"""Settle: of rows with one natural key exactly one stays, however many files, chunks or streams brought it.

Migrated rows go before live ones, and of these the lowest (origin, position) stays: the outcome depends on the rows
alone, not on who came first. Losers leave in one Delta commit that says what left which chunk (`commits.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from migration.commits import settle_facts
from spark_jobs.contracts.schema import Table
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake, row_digest
from spark_jobs.storage.fingerprints import aggregates, of_row
from spark_jobs.storage.repeats import repeated

CHUNKS_PER_COMMIT = 500
LIVE = "stream/"
_CHUNK = "migration/"
Check = Callable[[Append], None]


@dataclass(frozen=True, slots=True)
class Settled:
    """Rows that left: repeated within history, and live rows that history holds as well."""

    history: int = 0
    live: int = 0


def unfenced(_transaction: Append) -> None:
    """Whoever writes may commit."""


def settle(lake: Lake, table: Table, *, run_id: str, check: Check = unfenced) -> Settled:
    """Take out what stands twice, until nothing does; live writers go on meanwhile. Safe to repeat.

    `check` (`fencing.check_fence`) sees each transaction before it does anything.
    """
    if not delta.exists(lake, table):
        return Settled()
    total, is_done = Settled(), False
    while not is_done:
        left, is_done = until_committed(lambda: _settle_once(lake, table, run_id, check), f"settling {table.name}")
        total = Settled(total.history + left.history, total.live + left.live)
    return total


def losers_of(rows: DataFrame, table: Table, *, among: DataFrame) -> DataFrame:
    """The rows that must leave: key columns, origin, origin_position, digest, and the partition's day if there is one.

    In: rows of the table; key_a of the keys that may stand more than once. Only their rows are shuffled. Rows that are
    equal in key and place are never losers: to delete one would delete both, and verification shows them.
    """
    names = dict.fromkeys((*table.key, *table.partition_by, "origin", "origin_position"))
    keyed = rows.withColumn("digest", row_digest(table.types)).withColumns({"key_a": key_hashes(table)[0]})
    # Unique on the hash, so this cannot add rows.
    suspects = keyed.select(*names, "digest", "key_a").join(among, on="key_a", how="left_semi")
    is_live = F.startswith("origin", F.lit(LIVE))
    order = Window.partitionBy(*table.key).orderBy(is_live, "origin", "origin_position")
    return suspects.withColumn("place", F.rank().over(order)).where(F.col("place") > 1).drop("place", "key_a")


def key_hashes(table: Table) -> tuple[Column, Column]:
    """The natural key as 128 bits, key_a and key_b: two keys of 50 billion are never taken for one."""
    return F.xxhash64(*table.key).alias("key_a"), F.xxhash64(F.lit("b"), *table.key).alias("key_b")


def repeated_keys(rows: DataFrame, table: Table, *, among: DataFrame) -> DataFrame:
    """Natural keys that more than one row has: key_a, key_b. In: rows of the table; key_a of those that may."""
    # Unique on the hash, so this cannot add rows.
    suspects = rows.select(*key_hashes(table)).join(among, on="key_a", how="left_semi")
    return suspects.groupBy("key_a", "key_b").agg(F.count(F.lit(1)).alias("n")).where(F.col("n") > 1).drop("n")


def repeated_live(rows: DataFrame, table: Table) -> DataFrame:
    """Live rows that share a natural key with another row. Migrated rows among themselves are verification's matter.

    In: rows of the table. Out: key_a, key_b. Only the live rows are looked up, so a long history costs one scan.
    """
    is_live = F.startswith("origin", F.lit(LIVE))
    keyed = rows.select(*key_hashes(table), is_live.alias("is_live"))
    live, history = keyed.where("is_live").drop("is_live"), keyed.where("NOT is_live").drop("is_live")
    key = ["key_a", "key_b"]
    twice = live.groupBy(*key).agg(F.count(F.lit(1)).alias("n")).where(F.col("n") > 1).drop("n")
    return live.join(history, on=key, how="left_semi").union(twice)


def _settle_once(lake: Lake, table: Table, run_id: str, check: Check) -> tuple[Settled, bool]:
    """What left in one commit; true where nothing is left to settle, so that nobody has to look again."""
    version = delta.current_version(lake, table)
    rows = delta.read(lake, table, version=version)
    # Kept, so that Spark knows how few they are when it joins with them.
    twice = repeated(rows.select(key_hashes(table)[0]), "key_a").persist()
    try:
        if not twice.count():
            return Settled(), True
        left, are_more = _take_out(lake, table, losers_of(rows, table, among=twice), run_id, check=check)
        # Where nothing had to leave, or all that had to, and nobody else committed since it was looked for.
        return left, left == Settled() or (not are_more and delta.current_version(lake, table) == version + 1)
    finally:
        twice.unpersist()


def _take_out(lake: Lake, table: Table, losers: DataFrame, run_id: str, *, check: Check) -> tuple[Settled, bool]:
    """Take out the losers of CHUNKS_PER_COMMIT chunks at most, in one commit; true where there may be more.

    The transaction begins when they are known: looking for them takes long, and live rows come meanwhile.
    """
    losers = losers.persist()
    try:
        by_origin = losers.groupBy("origin").agg(*aggregates(F.col("digest"))).orderBy("origin")
        page = by_origin.limit(CHUNKS_PER_COMMIT).collect()
        if not page:
            return Settled(), False
        leaving = losers.where(F.col("origin").between(page[0]["origin"], page[-1]["origin"]))
        history = {r["origin"].removeprefix(_CHUNK): of_row(r) for r in page if r["origin"].startswith(_CHUNK)}
        live = sum(row["rows"] for row in page if not row["origin"].startswith(_CHUNK))
        with Append(lake, table) as transaction:
            check(transaction)
            transaction.take_out(leaving, on=[*table.key, "origin", "origin_position"])
            transaction.commit(facts=settle_facts(history, live=live, run_id=run_id))
        return Settled(sum(taken.rows for taken in history.values()), live), len(page) == CHUNKS_PER_COMMIT
    finally:
        losers.unpersist()
