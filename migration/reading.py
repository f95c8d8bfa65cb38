"""Rows of chunks as their source says they should be: one chunk's, or those of all chunks of a target in one pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Chunk
from migration.mapping import Mapping
from migration.rows import mapped_rows, refused_rows
from migration.sources.lines import reading_session
from migration.tally import PLACES
from migration.work import Work


def rows_of(work: Work, session: SparkSession, mapping: Mapping, chunks: Sequence[Chunk]) -> DataFrame:
    """Mapped rows (`rows.mapped_rows`) of chunks that have one layout."""
    records = work.source.records(session, mapping, chunks)
    return mapped_rows(records, chunks[0].header, mapping, workspace=work.job.workspace, key_file=work.key_file)


def refused_of(
    work: Work, session: SparkSession, mapping: Mapping, chunk: Chunk, *, among: Sequence[int] | None
) -> DataFrame:
    """Refused records (`rows.refused_rows`) of a chunk; `among`: remainders of their lines (`Tally.refused`)."""
    records = work.source.records(session, mapping, [chunk])
    if among is not None:
        records = records.where(F.pmod("line", F.lit(PLACES)).isin(list(among)))
    return refused_rows(records, chunk.header, mapping, key_file=work.key_file)


def source_rows(work: Work, mapping: Mapping) -> DataFrame:
    """Mapped rows of every chunk of the mapping's target, with each chunk's origin."""
    session = reading_session(work.lake.spark)
    by_layout: dict[object, list[Chunk]] = defaultdict(list)
    for chunk in work.ledger.chunks(work.plan.plan_id, target=mapping.table.name):
        by_layout[chunk.layout].append(chunk)
    parts = [rows_of(work, session, mapping, chunks) for chunks in by_layout.values()]
    return reduce(DataFrame.unionByName, parts)
