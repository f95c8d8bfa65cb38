"""Who refuses profiling, as rows of persons: the one place from which every job takes whom it leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.people.refusals import NOTES_DDL, OF_PERSON, OF_TOKEN, Note
from spark_jobs.settings import REFUSING

_PERSON = ("person_no", "person_id")


def by_notes(notes: Sequence[Note], held: DataFrame, registry: DataFrame | None) -> DataFrame:
    """person_no, person_id of whom the notes mean: who holds such a token, or is what such a master id resolves to.

    In:  rows of the map that are held at the moment in question; the registry of persons, one row an id, None where
         there is none: then ids stand for themselves.
    Out: a row a person.
    """
    given = held.sparkSession.createDataFrame(list(notes), NOTES_DDL)
    tokens = given.where(F.col("kind") == OF_TOKEN).select(F.col("subject").alias("token")).dropDuplicates()
    ids = given.where(F.col("kind") == OF_PERSON).select(F.col("subject").alias("id_bytes")).dropDuplicates()
    known = held.withColumn("survivor_id", F.col("person_id")) if registry is None else registry
    id_bytes = F.unhex(F.regexp_replace("person_id", "-", ""))
    meant = known.withColumn("id_bytes", id_bytes).join(F.broadcast(ids), "id_bytes", "left_semi")
    living = meant.select(F.col("survivor_id").alias("person_id")).dropDuplicates()
    by_token = held.join(F.broadcast(tokens), "token", "left_semi").select(*_PERSON)
    by_id = known.join(F.broadcast(living), "person_id", "left_semi").select(*_PERSON)
    return by_token.unionByName(by_id).dropDuplicates()


def by_tag(everybody: DataFrame, tags: DataFrame, tag: str, otherwise: str) -> DataFrame:
    """person_id of those of whom the refusal tag says so.

    In: person_id of everybody; rows of `tags.person_tags` of one generation; what the tag says of whom it has no row.
    """
    rows = tags.where(F.col("tag") == tag)
    if otherwise != REFUSING:
        return rows.where(F.col("value") == REFUSING).select("person_id")
    return everybody.join(rows.where(F.col("value") != REFUSING), "person_id", "left_anti").select("person_id")


def together(*refusing: DataFrame) -> DataFrame:
    """person_id of all of them, each once."""
    return reduce(DataFrame.unionByName, [rows.select("person_id") for rows in refusing]).dropDuplicates()
