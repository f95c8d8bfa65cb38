"""Who refuses profiling: persons of whom a tag says so, and whom somebody noted in the store of profiles."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.people.refusals import Note
from spark_jobs.people.refusing import by_notes
from spark_jobs.people.system_time import moment


def of_notes(notes: Sequence[Note], identity_map: DataFrame, registry: DataFrame | None, *, at_us: int) -> DataFrame:
    """person_id of whom the notes mean: who holds such a token then, or is what such a master id resolves to.

    In: rows of the map as a snapshot holds it; the registry, one row an id, None where no registry is.
    """
    at = moment(at_us)
    held = identity_map.where((F.col("valid_from") <= at) & (F.col("valid_to") > at))
    return by_notes(notes, held, registry).select("person_id")


def living(refusing: DataFrame, registry: DataFrame | None) -> DataFrame:
    """person_id that these ids resolve to by now: tags were computed with the identity of their day.

    In: person_id; the registry, one row an id, None where no registry is: then ids stand for themselves.
    """
    if registry is None:
        return refusing
    # An id has one row in the registry: the join adds none.
    joined = refusing.join(registry.select("person_id", "survivor_id"), on="person_id", how="left")
    return joined.select(F.coalesce("survivor_id", "person_id").alias("person_id"))
