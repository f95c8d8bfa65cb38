"""Who refuses profiling: persons of whom a tag says so, and whom somebody noted in the store of profiles."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.people.refusals import Note
from spark_jobs.people.refusing import by_notes
from spark_jobs.people.system_time import moment
from spark_jobs.settings import REFUSING


def of_notes(notes: Sequence[Note], identity_map: DataFrame, registry: DataFrame | None, *, at_us: int) -> DataFrame:
    """person_id of whom the notes mean: who holds such a token then, or is what such a master id resolves to.

    In: rows of the map as a snapshot holds it; the registry, one row an id, None where no registry is.
    """
    at = moment(at_us)
    held = identity_map.where((F.col("valid_from") <= at) & (F.col("valid_to") > at))
    return by_notes(notes, held, registry).select("person_id")


def of_tag(person_tags: DataFrame, tag: str) -> DataFrame:
    """person_id of whom the tag says so. In: rows of `tags.person_tags` of one generation."""
    is_its = (F.col("tag") == tag) & (F.col("value") == REFUSING)
    return person_tags.where(is_its).select("person_id").dropDuplicates()
