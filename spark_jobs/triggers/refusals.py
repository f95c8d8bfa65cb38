"""Who refuses profiling: persons of whom a tag says so, and whom somebody noted in the store of profiles."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.people.refusals import OF_PERSON, OF_TOKEN, Note
from spark_jobs.people.system_time import moment


def of_notes(notes: Sequence[Note], identity_map: DataFrame, registry: DataFrame | None, *, at_us: int) -> DataFrame:
    """person_id of whom the notes mean: who holds such a token then, or is what such a master id resolves to.

    In: rows of the map as a snapshot holds it; person_id, survivor_id of everybody, None where no registry is.
    """
    spark, at = identity_map.sparkSession, moment(at_us)
    tokens = spark.createDataFrame([(subject,) for kind, subject in notes if kind == OF_TOKEN], "token binary")
    held = identity_map.where((F.col("valid_from") <= at) & (F.col("valid_to") > at))
    by_token = held.join(F.broadcast(tokens), on="token", how="left_semi").select("person_id")
    ids = [(str(uuid.UUID(bytes=subject)),) for kind, subject in notes if kind == OF_PERSON]
    persons = spark.createDataFrame(ids, "person_id string")
    found = by_token.unionByName(persons)
    if registry is not None and ids:
        merged = registry.join(F.broadcast(persons), on="person_id", how="left_semi")
        found = found.unionByName(merged.select(F.col("survivor_id").alias("person_id")))
    return found.dropDuplicates()


def of_tag(person_tags: DataFrame, tag: str) -> DataFrame:
    """person_id of whom the tag says `true`. In: rows of `tags.person_tags` of one generation."""
    return person_tags.where((F.col("tag") == tag) & (F.col("value") == "true")).select("person_id").dropDuplicates()
