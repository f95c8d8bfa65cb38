"""Both sides of a table, read once each: sums by chunk, facts of the columns, and what gave way to other rows."""

from __future__ import annotations

from collections.abc import Iterator
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
from migration.replaced import REPLACED, Replaced, replaced
from migration.rows import digest_of, is_good, place_of
from migration.settling import key_hashes
from migration.summing import CHUNK, NO_CHUNK, OF, REFUSED, Side, chunk_of, read_once, to_sum
from migration.work import Work
from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import row_digest
from spark_jobs.storage.fingerprints import PARTS, parts_of_one, together

READ, TARGET = "read_", "target_"
READ_REFUSED, SEALED_REFUSED = f"{READ}{REFUSED}", f"sealed_{REFUSED}"


@dataclass(frozen=True, slots=True)
class Compared:
    """What was found; the frames are small, or as large as what was settled away, and kept while this is asked."""

    mine: DataFrame  # a row per chunk of the plan: origin, `chunk_of`
    sides: DataFrame  # and its sums, PARTS after each of the names above, null where a side has nothing of it
    outside: DataFrame | None  # `chunk_of` chunks that stand in the target and are none of the plan's
    twice: DataFrame | None  # key_a of keys that stand more than once in the target, or of different ones that share it
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
    read = source_rows(work, mapping).withColumn(CHUNK, chunk_of())
    claimed = key if is_settled else None
    to_hold = to_sum(table, digest=row_digest(table.types), counts=F.col("is_mine"), key_a=key)
    to_read = to_sum(table, digest=digest_of(mapping), counts=is_good(), key_a=claimed, place=place_of("line"))
    # A key that a settled row had is looked for among the rows of other plans as well: they are lent.
    lent_to = READ if is_settled else ""
    both = [Side(READ, read.select(*to_read)), Side(TARGET, stored.select(*to_hold), lent_to=lent_to)]
    with read_once(both, table) as found, _kept(_sides(work, table, mine, found.sums)) as sides:
        # One question fills what is kept, and asks for both.
        lacks = _lacks() if is_settled else F.lit(False)
        origins = [row["origin"] for row in sides.where(lacks | _is_outside()).select("origin").collect()]
        lacking = [origin for origin in origins if origin is not None]
        lacked = sides.where(lacks).select(CHUNK)
        with replaced(work, mapping, stored, (lacking, lacked), among=found.twice.get(READ)) as gone:
            yield Compared(
                mine,
                _beside(sides.where("origin IS NOT NULL"), gone),
                sides.where(_is_outside()).select(CHUNK) if None in origins else None,
                found.twice.get(TARGET),
                gone,
                found.columns[READ],
                found.columns[TARGET],
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


def _sides(work: Work, table: Table, mine: DataFrame, sums: DataFrame) -> DataFrame:
    """A row per chunk with the numbers of all sides; without an origin where it is none of the plan's."""
    sealed = kept(work.lake, table).select(
        F.lit(SEALED_REFUSED).alias(OF), chunk_of(), *parts_of_one(place_of("position"))
    )
    numbers = _beside_one_another(sums.unionByName(sealed), READ, TARGET, READ_REFUSED, SEALED_REFUSED)
    return _added_up(numbers.unionByName(mine, allowMissingColumns=True))


def _beside(sides: DataFrame, gone: Replaced | None) -> DataFrame:
    """The same with the numbers of what gave way."""
    if gone is None:
        return sides.withColumns({f"{REPLACED}{name}": F.lit(0) for name in PARTS})
    return _added_up(sides.unionByName(_beside_one_another(gone.summed.sums, REPLACED), allowMissingColumns=True))


def _beside_one_another(sums: DataFrame, *names: str) -> DataFrame:
    """Sums of several sides (`Summed.sums`) in columns of their own."""
    numbers = [F.when(F.col(OF) == of, F.col(part)).alias(f"{of}{part}") for of in names for part in PARTS]
    return sums.select(CHUNK, *numbers)


def _added_up(rows: DataFrame) -> DataFrame:
    """One row per chunk: its origin, where one of its rows has one, and its numbers.

    Rows are put below one another and added up: each join of two sides would be two shuffles more.
    """
    names = [name for name in rows.columns if name not in (CHUNK, "origin")]
    return rows.groupBy(CHUNK).agg(F.max("origin").alias("origin"), *[together(name) for name in names])


def _is_outside() -> Column:
    return F.col("origin").isNull() & (F.col(CHUNK) != NO_CHUNK) & (F.col(f"{TARGET}rows") > 0)


def _lacks() -> Column:
    pairs = [[F.coalesce(f"{side}{name}", F.lit(0)) for side in (READ, TARGET)] for name in PARTS]
    return F.col("origin").isNotNull() & reduce(Column.__or__, [read != target for read, target in pairs])
