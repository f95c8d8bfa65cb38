"""Rows of a source that rightly do not stand in its target, because another row with their key does.

They are found anew: from the source, where a chunk lacks rows, and from the target, where it has all of them or is none
of the plan's. So a settlement that took out a wrong row is seen, and a row that gave way to one of another job, or of a
plan whose files are gone, is not taken for lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from migration.mapping import Mapping
from migration.reading import source_rows
from migration.rows import is_good
from migration.settling import losers_of
from migration.summing import CHUNK, Side, Summed, chunk_of, read_once, to_sum
from migration.work import Work
from spark_jobs.storage.delta import row_digest

SHOWN = 10
REPLACED = "replaced_"  # the side


@dataclass(frozen=True, slots=True)
class Replaced:
    """Rows of the plan's chunks that must not stand in the target, and what they add up to.

    The rows have the contract's columns, digest, `winner` (the origin of the row that stays), `is_read` (from the
    source). Facts of the columns are those of rows that were read.
    """

    rows: DataFrame
    summed: Summed


@contextmanager
def replaced(
    work: Work,
    mapping: Mapping,
    stored: DataFrame,
    lacking: tuple[Collection[str], DataFrame],
    *,
    among: DataFrame | None,
) -> Iterator[Replaced | None]:
    """What must not stand in the target, dropped afterwards; None where no chunk lacks a row, or no key is claimed.

    In: the target's rows with `chunk` and `is_mine` (null outside of the plan); origins of the chunks that lack rows,
    and `chunk` of the same; key_a of the keys that more than one row claims, None where there are none.
    """
    origins, chunks = lacking
    if not origins or among is None:
        yield None
        return
    columns = [*map(F.col, mapping.table.column_names), row_digest(mapping.table.types).alias("digest")]
    read = source_rows(work, mapping, among=origins).where(is_good()).select(*columns)
    # Unique on the number, so this cannot add rows.
    others = stored.join(F.broadcast(chunks), on=CHUNK, how="left_anti").select(*columns, F.col("is_mine"))
    flags = {"is_mine": F.lit(True), "is_read": F.lit(True)}
    claims = read.withColumns(flags).unionByName(others.withColumn("is_read", F.lit(False)))
    lost = losers_of(claims, mapping.table, among=among, newest_by=mapping.newest_by)
    found = lost.where("is_mine").drop("is_mine")
    found = found.persist(StorageLevel.MEMORY_AND_DISK)
    to_read = to_sum(mapping.table, digest=F.col("digest"), counts=F.col("is_read"))
    try:
        side = Side(REPLACED, found.withColumn(CHUNK, chunk_of()).select(*to_read))
        with read_once([side], mapping.table) as summed:
            yield Replaced(found, summed)
    finally:
        found.unpersist()


def given_way(rows: DataFrame, mine: DataFrame) -> dict[str, Any]:
    """How many rows gave way to rows outside of the plan, and to whose; {} where none did.

    In: `Replaced.rows`; origin of the plan's chunks.
    """
    theirs = rows.where("is_read").join(mine.select(F.col("origin").alias("winner")), on="winner", how="left_anti")
    by_winner = theirs.groupBy("winner").agg(F.count(F.lit(1)).alias("rows"))
    most = {row["winner"]: int(row["rows"]) for row in by_winner.orderBy(F.desc("rows"), "winner").take(SHOWN)}
    total = sum(most.values()) if len(most) < SHOWN else theirs.count()
    return {"rows": total, "to": most} if most else {}
