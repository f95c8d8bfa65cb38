"""Messages of a publication: keyed by what they are about, one person's in one partition, a note behind the last.

When its note stands in every partition, a publication is in a topic as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.topics import TAG_STATE_TOPIC, Topic

# Of every topic that publications go into: notes of two topics end the same partitions.
PARTITIONS = TAG_STATE_TOPIC.partitions


@dataclass(frozen=True, slots=True)
class Note:
    """What ends a publication in each partition: of which workspace, its number and what it follows from."""

    workspace: str
    number: int
    generation: str
    base_at: str
    snapshot_id: str


def message(topic: Topic, rows: DataFrame, key: Sequence[str], value: Column) -> DataFrame:
    """Rows of `sending.COLUMNS`, one each. In: rows with person_id and the columns of the key; null takes a key out."""
    return rows.select(
        F.pmod(F.xxhash64("person_id"), F.lit(PARTITIONS)).cast("int").alias("partition"),
        F.lit(False).alias("is_note"),
        F.lit(topic.name).alias("topic"),
        F.concat_ws("/", *key).alias("key"),
        value.alias("value"),
    )


def json_of(columns: Sequence[str], note: Note) -> Column:
    """These columns and the publication's number, as a JSON object."""
    return F.to_json(F.struct(*columns, F.lit(note.number).alias("state_version")), {"ignoreNullFields": "false"})


def notes(rows: DataFrame, note: Note, topics: Sequence[Topic]) -> DataFrame:
    """The notes of a publication, one for each partition of these topics. In: any rows, for their session."""
    said = F.struct(
        F.lit(note.workspace).alias("workspace_id"),
        F.lit(note.number).alias("state_version"),
        F.lit(note.generation).alias("generation"),
        F.lit(note.base_at).alias("base_at"),
        F.lit(note.snapshot_id).alias("snapshot_id"),
    )
    each = F.explode(F.array(*[F.lit(topic.name) for topic in topics]))
    every = rows.sparkSession.range(PARTITIONS).select(F.col("id").cast("int").alias("partition"), each.alias("topic"))
    return every.select(
        "partition",
        F.lit(True).alias("is_note"),
        "topic",
        F.lit(note.workspace).alias("key"),
        F.to_json(said).alias("value"),
    )
