"""Rows of chunks as their source says they should be: one chunk's, or those of all chunks of a target in one pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Chunk
from migration.ledger import PAGE, batched
from migration.mapping import Mapping
from migration.rows import mapped_rows, refused_rows
from migration.sources.lines import reading_session
from migration.tally import few_of, is_among, remainders
from migration.work import Work
from spark_jobs.storage import tombstones


def rows_of(work: Work, session: SparkSession, mapping: Mapping, chunks: Sequence[Chunk]) -> DataFrame:
    """Mapped rows (`rows.mapped_rows`) of chunks that have one layout."""
    records = work.source.records(session, mapping, chunks)
    return mapped(work, mapping, chunks, records)


def mapped(work: Work, mapping: Mapping, chunks: Sequence[Chunk], records: DataFrame) -> DataFrame:
    """Mapped rows of the records of chunks that have one layout, without those of persons who are erased by now."""
    return mapped_rows(
        records,
        chunks[0].header,
        mapping,
        workspace=work.job.workspace,
        key_file=work.key_file,
        stones=tombstones.standing(work.lake),
    )


def refused_of(
    work: Work, session: SparkSession, mapping: Mapping, chunk: Chunk, *, among: Sequence[int] | None
) -> DataFrame:
    """Refused records (`rows.refused_rows`) of a chunk; `among`: remainders of their lines (`Tally.refused`)."""
    records = work.source.records(session, mapping, [chunk]).where(is_among(among))
    stones = tombstones.standing(work.lake)
    return refused_rows(records, chunk.header, mapping, key_file=work.key_file, stones=stones)


def rows_at(
    work: Work, session: SparkSession, mapping: Mapping, chunks: Sequence[Chunk], *, places: DataFrame
) -> DataFrame:
    """Those of `rows_of` that have one of these places: origin, block_start, line; a few of many.

    Records are clear and may not be moved: most of the others are left out by the remainders of their lines, and rows
    are joined when they are mapped.
    """
    (found,) = places.agg(remainders(F.col("line")).alias("places")).collect()
    records = work.source.records(session, mapping, chunks).where(is_among(few_of(found["places"])))
    rows = mapped(work, mapping, chunks, records)
    # A semi join adds no rows.
    return rows.join(places, on=["origin", "block_start", "line"], how="left_semi")


def source_rows(work: Work, mapping: Mapping, *, among: Collection[str] | None = None) -> DataFrame:
    """Mapped rows, with their origin, of every chunk of the mapping's target, or of the chunks of these origins."""
    session = reading_session(work.lake.spark)
    by_layout: dict[object, list[Chunk]] = defaultdict(list)
    for chunk in _chunks(work, mapping, among):
        by_layout[chunk.layout].append(chunk)
    parts = [rows_of(work, session, mapping, chunks) for chunks in by_layout.values()]
    return reduce(DataFrame.unionByName, parts)


def _chunks(work: Work, mapping: Mapping, among: Collection[str] | None) -> Iterator[Chunk]:
    if among is None:
        yield from work.ledger.chunks(work.plan.plan_id, target=mapping.table.name)
        return
    for page in batched((origin.removeprefix("migration/") for origin in among), PAGE):
        yield from work.ledger.named(work.plan.plan_id, page)
