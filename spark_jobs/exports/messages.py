"""Messages of the two topics of tags, as pure functions of the changes that a publication brought.

All messages of a person are in one partition; in each partition a publication ends with a note.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.topics import TAG_CHANGES_TOPIC, TAG_STATE_TOPIC
from spark_jobs.exports.publishing import Note, json_of, message, notes

# The cause of a change by which a person's values went, or came back; and of one that only the definition brought.
REFUSAL, RULE = "refusal", "rule"
_KEY = ("workspace_id", "tag", "person_id")
_CHANGE = ("workspace_id", "tag", "person_id", "old_value", "new_value", "cause", "base_at", "version", "snapshot_id")
_STATE = ("workspace_id", "tag", "person_id", "value", "base_at", "version", "snapshot_id")


def reopened(changes: DataFrame, told: DataFrame) -> DataFrame:
    """Rows as of `tags.changes` by which tags that were sensitive until now are told of again.

    In:  rows of `tags.changes` of these tags, of all publications up to this one; workspace_id, tag, base_at, version,
         snapshot_id of this one, a row a tag.
    Out: a row a person and tag, with the cause `rule`: from the value that was told last to the one that holds.
    """
    # What changed while the tag was sensitive was told to nobody, and is not now.
    told_at = F.when(F.coalesce("classes", F.lit("")) == "", F.col("state_version"))
    persons = changes.groupBy("workspace_id", "tag", "person_id").agg(
        F.max_by("new_value", told_at).alias("old_value"), F.max_by("new_value", "state_version").alias("new_value")
    )
    persons = persons.where(F.col("old_value").isNotNull() | F.col("new_value").isNotNull())
    # Of a tag there is one row: the join adds none.
    return persons.withColumn("cause", F.lit(RULE)).join(F.broadcast(told), ["workspace_id", "tag"])


def withheld(changes: DataFrame, refused: DataFrame) -> DataFrame:
    """The changes, those of persons who refuse profiling without values: they say that the values went, and no more.

    In:  rows of `tags.changes`; person_id of those who refuse, and `open_tag`, which is told of them all the same.
    Out: as many rows with the same keys, as a delivery that goes on needs.
    """
    # Of those who refuse each has one row: the join adds none.
    joined = changes.join(refused, "person_id", "left")
    is_refused = F.col("open_tag").isNotNull() & (F.col("tag") != F.col("open_tag"))
    # Who refused with this change, and does not any more by now, was told nothing of either.
    has_gone = (F.col("cause") == REFUSAL) & F.col("new_value").isNull()
    hidden = is_refused | has_gone
    nothing = F.lit(None).cast("string")
    return joined.withColumns(
        {
            "old_value": F.when(hidden, nothing).otherwise(F.col("old_value")),
            "new_value": F.when(hidden, nothing).otherwise(F.col("new_value")),
            "cause": F.when(hidden, F.lit(REFUSAL)).otherwise(F.col("cause")),
        }
    ).drop("open_tag")


def messages(changes: DataFrame, hidden: DataFrame, note: Note) -> DataFrame:
    """Rows of `sending.COLUMNS`: what the publication changed, what is hidden from now on, and the notes.

    In:  rows of `tags.changes` of the publication; workspace_id, tag, person_id of values that must go from the state
         though nothing changed, because their tag became sensitive.
    """
    of_state = changes.withColumn("value", F.col("new_value"))
    state = message(TAG_STATE_TOPIC, of_state, _KEY, F.when(F.col("new_value").isNotNull(), json_of(_STATE, note)))
    change = message(TAG_CHANGES_TOPIC, changes, _KEY, json_of(_CHANGE, note))
    ends = notes(changes, note, (TAG_STATE_TOPIC, TAG_CHANGES_TOPIC))
    return state.unionByName(change).unionByName(gone(hidden)).unionByName(ends)


def gone(values: DataFrame) -> DataFrame:
    """What takes values out of the state: a message without a value each. In: workspace_id, tag, person_id, unique."""
    return message(TAG_STATE_TOPIC, values, _KEY, F.lit(None).cast("string"))
