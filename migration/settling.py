"""Settle: of rows with one natural key exactly one stays, however many files, chunks or streams brought it.

Where the mapping names an order column (`newest_by`), the row stays where it is greatest; one without a value is older
than all that have one. Of equally new rows migrated ones go before live ones, and of these the lowest (origin,
position): the outcome depends on the rows alone, not on who came first. Losers leave in one Delta commit that says what
left which chunk (`commits.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from migration.commits import removals_since, settle_facts
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

    def __add__(self, other: Settled) -> Settled:
        """What left both times."""
        return Settled(self.history + other.history, self.live + other.live)


def unfenced(_transaction: Append) -> None:
    """Whoever writes may commit."""


def settle(lake: Lake, table: Table, *, run_id: str, newest_by: str = "", check: Check = unfenced) -> Settled:
    """Take out what stands twice, until nothing does; live writers go on meanwhile. Safe to repeat.

    `newest_by` is the order column, '' where there is none. `check` (`fencing.check_fence`) sees each transaction
    before it does anything.
    """
    if not delta.exists(lake, table):
        return Settled()
    total, is_done = Settled(), False
    while not is_done:
        left, is_done = _settle_version(_Writer(lake, table, run_id, newest_by, check))
        total += left
    return total


def losers_of(rows: DataFrame, table: Table, *, among: DataFrame, newest_by: str = "") -> DataFrame:
    """The rows that must leave, and `winner`: the origin of the row that stays.

    In: rows with the columns of the key, `newest_by`, origin, origin_position; key_a of the keys that may stand more
    than once. Only their rows are shuffled. Rows that are equal in key, order and place are never losers: to delete one
    would delete both, and verification shows them.
    """
    # Unique on the hash, so this cannot add rows.
    suspects = rows.withColumn("key_a", key_hashes(table)[0]).join(among, on="key_a", how="left_semi")
    is_live = F.startswith("origin", F.lit(LIVE))
    newest = [F.col(name).desc_nulls_last() for name in _order(newest_by)]
    order = Window.partitionBy(*table.key).orderBy(*newest, is_live, "origin", "origin_position")
    placed = suspects.withColumns({"place": F.rank().over(order), "winner": F.first("origin").over(order)})
    return placed.where(F.col("place") > 1).drop("place", "key_a")


def _order(newest_by: str) -> list[str]:
    return [newest_by] if newest_by else []


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


@dataclass(frozen=True, slots=True)
class _Writer:
    """Who settles which table."""

    lake: Lake
    table: Table
    run_id: str
    newest_by: str
    check: Check


def _settle_version(writer: _Writer) -> tuple[Settled, bool]:
    """Take out what stands twice in the newest version; true where nobody has to look again.

    Losers are found once and leave in pages of CHUNKS_PER_COMMIT chunks, a commit each.
    """
    lake, table = writer.lake, writer.table
    version = delta.current_version(lake, table)
    left, pages = Settled(), 0
    with _losers_in(writer, version) as losers:
        by_origin = losers.groupBy("origin").agg(*aggregates(F.col("digest"))).orderBy("origin").toLocalIterator()
        while page := list(islice(by_origin, CHUNKS_PER_COMMIT)):
            leaving = losers.where(F.col("origin").between(page[0]["origin"], page[-1]["origin"]))
            taken = until_committed(partial(_take_out, writer, leaving, page, since=version), f"settling {table.name}")
            if taken is None:
                return left, False
            left, pages = left + taken, pages + 1
    return left, pages == 0 or delta.current_version(lake, table) == version + pages


@contextmanager
def _losers_in(writer: _Writer, version: int) -> Iterator[DataFrame]:
    """What must leave of one version, found when it is asked for first."""
    lake, table, newest_by = writer.lake, writer.table, writer.newest_by
    rows = delta.read(lake, table, version=version)
    # Kept, so that Spark knows how few they are when it joins with them.
    twice = repeated(rows.select(key_hashes(table)[0]), "key_a").persist()
    names = dict.fromkeys((*table.key, *table.partition_by, *_order(newest_by), "origin", "origin_position"))
    narrow = rows.select(*names, row_digest(table.types).alias("digest"))
    losers = losers_of(narrow, table, among=twice, newest_by=newest_by).drop("winner").persist()
    try:
        yield losers if twice.count() else losers.limit(0)
    finally:
        losers.unpersist()
        twice.unpersist()


def _take_out(writer: _Writer, leaving: DataFrame, page: list[Row], *, since: int) -> Settled | None:
    """Take out the losers of these chunks in one commit; None where somebody took rows out since they were found.

    Then the row that was to stay may be gone, and another one has to be found. The transaction begins when they are
    known: looking for them takes long, and live rows come meanwhile.
    """
    history = {r["origin"].removeprefix(_CHUNK): of_row(r) for r in page if r["origin"].startswith(_CHUNK)}
    live = sum(row["rows"] for row in page if not row["origin"].startswith(_CHUNK))
    with Append(writer.lake, writer.table) as transaction:
        writer.check(transaction)
        if removals_since(writer.lake, writer.table, since, besides=writer.run_id):
            return None
        place = [*writer.table.key, *_order(writer.newest_by), "origin", "origin_position"]
        transaction.take_out(leaving, on=place)
        transaction.commit(facts=settle_facts(history, live=live, run_id=writer.run_id))
    return Settled(sum(taken.rows for taken in history.values()), live)
