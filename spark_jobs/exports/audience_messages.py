"""Messages of the two topics of audiences, as pure functions of who came and went with a publication."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.topics import AUDIENCE_CHANGES_TOPIC, AUDIENCE_STATE_TOPIC
from spark_jobs.exports.publishing import Note, json_of, message, notes

ENTER, EXIT, REFUSAL, DEFINITION = "enter", "exit", "refusal", "definition"
_KEY = ("workspace_id", "audience", "person_id")
_STATE = (*_KEY, "base_at", "version", "snapshot_id")
_CHANGE = (*_KEY, "change", "cause", "survivor_id", "tags", "base_at", "version", "snapshot_id")


def reopened(changes: DataFrame, told: DataFrame) -> DataFrame:
    """Rows as of `tags.audience_changes` by which audiences that were sensitive until now are told of again.

    In:  rows of `tags.audience_changes` of these audiences, of all publications up to this one; workspace_id, audience,
         base_at, version, snapshot_id of this one, a row an audience.
    Out: a row a person, with the cause `definition`: each member enters, and who was told of as a member exits.
    """
    key = ("workspace_id", "audience", "person_no", "person_id")
    last = F.max_by(F.struct("change", "survivor_id"), "state_version").alias("last")
    # What came and went while the audience was sensitive was told to nobody, and is not now.
    told_at = F.when(F.coalesce("classes", F.lit("")) == "", F.col("state_version"))
    persons = changes.groupBy(*key).agg(last, F.max_by("change", told_at).alias("last_told"))
    persons = persons.where((F.col("last.change") == ENTER) | (F.col("last_told") == ENTER))
    values = {"change": F.col("last.change"), "cause": F.lit(DEFINITION), "survivor_id": F.col("last.survivor_id")}
    values |= {"tags": F.lit(None).cast(changes.schema["tags"].dataType)}
    # Of an audience there is one row: the join adds none.
    return persons.withColumns(values).drop("last", "last_told").join(F.broadcast(told), ["workspace_id", "audience"])


def withheld(changes: DataFrame, refused: DataFrame) -> DataFrame:
    """The changes, those of persons who refuse profiling as an exit for that reason, whatever they were.

    In:  rows of `tags.audience_changes`; person_no of those who refuse, each once.
    Out: as many rows with the same keys, as a delivery that goes on needs.
    """
    joined = changes.join(refused.select("person_no").withColumn("refuses", F.lit(True)), "person_no", "left")
    refuses = F.coalesce("refuses", F.lit(False))
    told = {"change": F.lit(EXIT), "cause": F.lit(REFUSAL), "tags": F.lit(None).cast(changes.schema["tags"].dataType)}
    hidden = {name: F.when(refuses, value).otherwise(F.col(name)) for name, value in told.items()}
    return joined.withColumns(hidden).drop("refuses")


def messages(changes: DataFrame, hidden: DataFrame, note: Note) -> DataFrame:
    """Rows of `sending.COLUMNS`: who came and went with the publication, whom nobody may see any more, and the notes.

    In:  rows of `tags.audience_changes` of the publication; workspace_id, audience, person_id of members that must go
         from the state though nothing changed, because their audience became sensitive.
    """
    state = message(AUDIENCE_STATE_TOPIC, changes, _KEY, F.when(F.col("change") == ENTER, json_of(_STATE, note)))
    change = message(AUDIENCE_CHANGES_TOPIC, changes, _KEY, json_of(_CHANGE, note))
    gone = message(AUDIENCE_STATE_TOPIC, hidden, _KEY, F.lit(None).cast("string"))
    ends = notes(changes, note, (AUDIENCE_STATE_TOPIC, AUDIENCE_CHANGES_TOPIC))
    return state.unionByName(change).unionByName(gone).unionByName(ends)
