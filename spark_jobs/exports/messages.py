"""Messages of the two topics of tags, as pure functions of the changes that a publication brought.

All messages of a person are in one partition; in each partition a publication ends with a note.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.topics import TAG_CHANGES_TOPIC, TAG_STATE_TOPIC

PARTITIONS = TAG_STATE_TOPIC.partitions
_CHANGE = ("workspace_id", "tag", "person_id", "old_value", "new_value", "cause", "base_at", "version", "snapshot_id")
_STATE = ("workspace_id", "tag", "person_id", "value", "base_at", "version", "snapshot_id")


@dataclass(frozen=True, slots=True)
class Note:
    """What ends a publication in each partition: of which workspace, its number and what it follows from."""

    workspace: str
    number: int
    generation: str
    base_at: str
    snapshot_id: str


def messages(changes: DataFrame, hidden: DataFrame, note: Note) -> DataFrame:
    """Rows of `sending.COLUMNS`: what the publication changed, what is hidden from now on, and the notes.

    In:  rows of `tags.changes` of the publication; workspace_id, tag, person_id of values that must go from the state
         though nothing changed, because their tag became sensitive.
    """
    of_state = changes.withColumn("value", F.col("new_value"))
    state = _message(TAG_STATE_TOPIC.name, of_state, F.when(F.col("new_value").isNotNull(), _json(_STATE, note)))
    change = _message(TAG_CHANGES_TOPIC.name, changes, _json(_CHANGE, note))
    return state.unionByName(change).unionByName(gone(hidden)).unionByName(_notes(changes, note))


def gone(values: DataFrame) -> DataFrame:
    """What takes values out of the state: a message without a value each. In: workspace_id, tag, person_id, unique."""
    return _message(TAG_STATE_TOPIC.name, values, F.lit(None).cast("string"))


def _message(topic: str, rows: DataFrame, value: Column) -> DataFrame:
    return rows.select(
        F.pmod(F.xxhash64("person_id"), F.lit(PARTITIONS)).cast("int").alias("partition"),
        F.lit(False).alias("is_note"),
        F.lit(topic).alias("topic"),
        F.concat_ws("/", "workspace_id", "tag", "person_id").alias("key"),
        value.alias("value"),
    )


def _json(columns: tuple[str, ...], note: Note) -> Column:
    return F.to_json(F.struct(*columns, F.lit(note.number).alias("state_version")), {"ignoreNullFields": "false"})


def _notes(rows: DataFrame, note: Note) -> DataFrame:
    said = F.struct(
        F.lit(note.workspace).alias("workspace_id"),
        F.lit(note.number).alias("state_version"),
        F.lit(note.generation).alias("generation"),
        F.lit(note.base_at).alias("base_at"),
        F.lit(note.snapshot_id).alias("snapshot_id"),
    )
    topics = F.explode(F.array(F.lit(TAG_STATE_TOPIC.name), F.lit(TAG_CHANGES_TOPIC.name)))
    every = rows.sparkSession.range(PARTITIONS).select(
        F.col("id").cast("int").alias("partition"), topics.alias("topic")
    )
    return every.select(
        "partition",
        F.lit(True).alias("is_note"),
        "topic",
        F.lit(note.workspace).alias("key"),
        F.to_json(said).alias("value"),
    )
