"""Who refuses profiling, as rows of persons: the one place from which every job takes whom it leaves out."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.people.refusals import OF_PERSON, OF_TOKEN, Note
from spark_jobs.settings import REFUSING

_PERSON = ("person_no", "person_id")
_IDS_DDL = "person_id string"


def by_notes(notes: Sequence[Note], held: DataFrame, registry: DataFrame | None) -> DataFrame:
    """person_no, person_id of whom the notes mean: who holds such a token, or is what such a master id resolves to.

    In:  rows of the map that are held at the moment in question; the registry of persons, one row an id, None where
         there is none: then ids stand for themselves.
    Out: a row a person.
    """
    subjects = {kind: [(subject,) for of, subject in notes if of == kind] for kind in (OF_TOKEN, OF_PERSON)}
    nobody = held.where(F.lit(False)).select(*_PERSON)
    tokens, ids = _by_token(subjects[OF_TOKEN], held), _by_id(subjects[OF_PERSON], held, registry)
    found = [rows for rows in (tokens, ids) if rows is not None]
    return reduce(DataFrame.unionByName, found, nobody).dropDuplicates()


def _by_token(subjects: Sequence[tuple[bytes]], held: DataFrame) -> DataFrame | None:
    if not subjects:
        return None
    tokens = held.sparkSession.createDataFrame(list(subjects), "token binary").dropDuplicates()
    return held.join(F.broadcast(tokens), "token", "left_semi").select(*_PERSON)


def _by_id(subjects: Sequence[tuple[bytes]], held: DataFrame, registry: DataFrame | None) -> DataFrame | None:
    if not subjects:
        return None
    ids = held.sparkSession.createDataFrame([(str(uuid.UUID(bytes=subject)),) for (subject,) in subjects], _IDS_DDL)
    known = held.withColumn("survivor_id", F.col("person_id")) if registry is None else registry
    meant = known.join(F.broadcast(ids.dropDuplicates()), "person_id", "left_semi")
    living = meant.select(F.col("survivor_id").alias("person_id")).dropDuplicates()
    return known.join(F.broadcast(living), "person_id", "left_semi").select(*_PERSON)


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
