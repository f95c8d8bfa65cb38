"""Refused records as records again: their kept bytes are opened and parsed by what the mapping says now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from migration.chunks import Chunk
from migration.mapping import Mapping
from migration.sources.arrival import with_latest
from migration.sources.files import FORMATS
from migration.sources.formats import KeptFormat
from migration.sources.partitions import own_layout, with_values
from migration.sources.source import RECORD
from spark_jobs.protection.sealing import unseal_column


def is_kept(mapping: Mapping) -> bool:
    """True where what is kept of a record is the record itself, as its file has it."""
    return isinstance(FORMATS.get(mapping.format), KeptFormat)


def kept_records(refused: DataFrame, mapping: Mapping, chunks: Sequence[Chunk], *, key_file: Path) -> DataFrame:
    """As `Source.records` says, of the refused records of chunks that have one layout; no shuffle is needed.

    In:  rows of `quarantine.rows`, read in a session of `reading_session`.
    """
    parsing = FORMATS[mapping.format]
    assert isinstance(parsing, KeptFormat)  # `is_kept`
    # Of a record's file only the name is of use here, so its origin stands for it.
    file, line = F.col("origin").alias("file"), F.col("position").alias("line")
    sealed = refused.select(file, "block_start", line, F.col("sealed").alias("raw"), "kid")
    own = own_layout(chunks[0].layout, mapping)
    records = parsing.parse(unseal_column(sealed, "raw", key_file=key_file), own.header, mapping)
    placed = with_latest(records.withColumnRenamed("file", "origin"), chunks)
    return with_values(placed, mapping, chunks).select(*RECORD, "fields")
