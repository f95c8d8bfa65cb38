"""All chunks of one target read in one pass: the rows that their files say should be there."""

from __future__ import annotations

from collections import defaultdict
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Chunk
from migration.mapping import Mapping
from migration.rows import mapped_rows
from migration.source import read_lines, reading_session
from migration.work import Work


def source_rows(work: Work, mapping: Mapping) -> DataFrame:
    """Mapped rows (`rows.mapped_rows`) of every chunk of the mapping's target, with each chunk's origin."""
    session = reading_session(work.lake.spark)
    by_header: dict[tuple[str, ...], list[Chunk]] = defaultdict(list)
    for chunk in work.ledger.chunks(work.plan.plan_id, target=mapping.table.name):
        by_header[chunk.header].append(chunk)
    parts = [_rows_with(work, mapping, session, chunks) for chunks in by_header.values()]
    return reduce(DataFrame.unionByName, parts)


def _rows_with(work: Work, mapping: Mapping, session: SparkSession, chunks: list[Chunk]) -> DataFrame:
    folder = work.source
    paths = [f"{folder.address}/{chunk.source_object}" for chunk in chunks]
    origins = session.createDataFrame(
        [(folder.uri(chunk.source_object), chunk.origin) for chunk in chunks],
        "file string, origin string",
    )
    # One origin a file. Broadcast, because clear lines must not be shuffled.
    lines = read_lines(session, paths).join(F.broadcast(origins), on="file", how="inner")
    return mapped_rows(lines, chunks[0].header, mapping, workspace=work.job.workspace, key_file=work.key_file)
