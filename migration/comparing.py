"""Both sides of a table, read once each: sums by chunk, facts of the columns, and what gave way to other rows."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as Keys
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.columns import Facts
from migration.mapping import Mapping
from migration.quarantining import kept
from migration.reading import source_rows
from migration.replaced import Replaced, replaced
from migration.rows import digest_of, is_good
from migration.settling import key_hashes
from migration.summing import CHUNK, NO_CHUNK, REFUSED, chunk_of, read_once, summed, to_sum
from migration.work import Work
from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import row_digest
from spark_jobs.storage.fingerprints import PARTS


@dataclass(frozen=True, slots=True)
class Compared:
    """What was found; the frames are small, or as large as what was settled away, and kept while this is asked."""

    mine: DataFrame  # a row per chunk of the plan: origin, `chunk_of`
    sides: DataFrame  # and its sums: `read_`, `target_`, `sealed_`, `replaced_`, null where a side has nothing of it
    outside: DataFrame  # `chunk_of` chunks that stand in the target and are none of the plan's
    twice: DataFrame  # key_a of keys that stand more than once in the target, and of different keys that share it
    replaced: Replaced | None
    source: Facts  # of the columns of good records
    target: Facts  # of the columns of the plan's rows


@contextmanager
def compared(work: Work, mapping: Mapping, target: DataFrame) -> Iterator[Compared]:
    """Read both sides. In: the target's rows."""
    table, key = mapping.table, key_hashes(mapping.table)[0]
    mine, is_settled = _chunks_of(work, table), _is_settled(work, table)
    # Unique on the number, so this cannot add rows.
    marked = F.broadcast(mine.select(CHUNK, F.lit(True).alias("is_mine")))
    stored = target.withColumn(CHUNK, chunk_of()).join(marked, on=CHUNK, how="left")
    others = stored.where("is_mine IS NULL").select(key) if is_settled else None
    read = source_rows(work, mapping).withColumn(CHUNK, chunk_of())
    to_hold = to_sum(table, digest=row_digest(table.types), counts=F.col("is_mine"), key_a=key)
    to_read = to_sum(table, digest=digest_of(mapping), counts=is_good(), key_a=key if is_settled else None)
    with (
        read_once(stored.select(*to_hold), table) as held,
        read_once(read.select(*to_read), table, beside=others) as found,
        _kept(_sides(work, table, mine, {"read_": found.sums, "target_": held.sums})) as sides,
    ):
        lacking = sides.where(_lacks() if is_settled else F.lit(False)).select("origin", CHUNK)
        with replaced(work, mapping, stored, lacking, among=found.twice) as gone:
            is_outside = F.col("origin").isNull()
            yield Compared(
                mine,
                _beside(
                    sides.where(~is_outside),
                    {"replaced_": gone.summed.sums if gone else held.sums.limit(0)},
                    how="left",
                ),
                sides.where(is_outside & (F.col(CHUNK) != NO_CHUNK)).select(CHUNK),
                held.twice,
                gone,
                found.columns,
                held.columns,
            )


@contextmanager
def _kept(rows: DataFrame) -> Iterator[DataFrame]:
    rows = rows.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        yield rows
    finally:
        rows.unpersist()


def _chunks_of(work: Work, table: Table) -> DataFrame:
    chunks = work.ledger.chunks(work.plan.plan_id, target=table.name)
    names = work.lake.spark.createDataFrame([(chunk.origin,) for chunk in chunks], "origin string")
    return names.withColumn(CHUNK, chunk_of())


def _is_settled(work: Work, table: Table) -> bool:
    """True where rows were taken out, as far as the targets' logs say."""
    totals = work.ledger.totals(work.plan.plan_id)
    return any(row["rows_duplicate"] for row in totals if row["target"] == table.name)


def _sides(work: Work, table: Table, mine: DataFrame, sums: Keys[str, DataFrame]) -> DataFrame:
    """Both sides' numbers of each chunk; of those outside of the plan as well, which have no origin."""
    return _beside(mine, sums, how="full").join(summed(_sealed(work, table), "sealed_"), on="origin", how="left")


def _beside(chunks: DataFrame, sums: Keys[str, DataFrame], *, how: str) -> DataFrame:
    for prefix, found in sums.items():
        parts = [F.col(name).alias(f"{prefix}{name}") for name in (*PARTS, REFUSED)]
        # Both have every chunk once, so these joins cannot add rows.
        chunks = chunks.join(found.select(CHUNK, *parts), on=CHUNK, how=how)
    return chunks


def _sealed(work: Work, table: Table) -> DataFrame:
    """A row per refused record that is kept."""
    return kept(work.lake, table).select("origin", F.lit(None).cast("bigint").alias("digest"))


def _lacks() -> Column:
    pairs = [[F.coalesce(f"{side}{name}", F.lit(0)) for side in ("read_", "target_")] for name in PARTS]
    return F.col("origin").isNotNull() & reduce(Column.__or__, [read != target for read, target in pairs])
