"""Who refuses profiling: persons of whom a tag says so, and whom somebody noted in the store of profiles."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.people.system_time import moment

# They are read into the driver's memory: a refusal by tag is not.
MOST_NOTES = 500_000
_TOKEN, _PERSON = "token", "person_id"

Note = tuple[bytes, str]


def noted(url: str) -> list[Note]:
    """Notes of the profile store: subject (16 bytes) and kind (`token` or `person_id`); none where no store is yet.

    RetryableError where it does not answer; TerminalError where there are more than MOST_NOTES.
    """
    place = make_url(url)
    if place.get_backend_name() == "sqlite" and not (place.database and Path(place.database).exists()):
        return []
    engine = create_engine(place)
    try:
        with engine.connect() as connection:
            if not inspect(connection).has_table("refusals"):
                return []
            rows = connection.execute(text(f"SELECT subject, kind FROM refusals LIMIT {MOST_NOTES + 1}")).all()
    except SQLAlchemyError as error:
        raise RetryableError(
            f"the store of profiles does not say who refuses profiling ({type(error).__name__}); nobody is told of "
            "anything without it: is it running?"
        ) from error
    finally:
        engine.dispose()
    if len(rows) > MOST_NOTES:
        raise TerminalError(
            f"the store of profiles notes more than {MOST_NOTES} refusals; wanted fewer: let a tag say who refuses "
            "([profiles] refusal_tag)"
        )
    return [(bytes(row[0]), str(row[1])) for row in rows]


def of_notes(notes: Sequence[Note], identity_map: DataFrame, registry: DataFrame | None, *, at_us: int) -> DataFrame:
    """person_id of whom the notes mean: who holds such a token then, or is what such a master id resolves to.

    In: rows of the map as a snapshot holds it; person_id, survivor_id of everybody, None where no registry is.
    """
    spark, at = identity_map.sparkSession, moment(at_us)
    tokens = spark.createDataFrame([(subject,) for subject, kind in notes if kind == _TOKEN], "token binary")
    held = identity_map.where((F.col("valid_from") <= at) & (F.col("valid_to") > at))
    by_token = held.join(F.broadcast(tokens), on="token", how="left_semi").select("person_id")
    ids = [(str(uuid.UUID(bytes=subject)),) for subject, kind in notes if kind == _PERSON]
    persons = spark.createDataFrame(ids, "person_id string")
    found = by_token.unionByName(persons)
    if registry is not None and ids:
        merged = registry.join(F.broadcast(persons), on="person_id", how="left_semi")
        found = found.unionByName(merged.select(F.col("survivor_id").alias("person_id")))
    return found.dropDuplicates()


def of_tag(person_tags: DataFrame, tag: str) -> DataFrame:
    """person_id of whom the tag says `true`. In: rows of `tags.person_tags` of one generation."""
    return person_tags.where((F.col("tag") == tag) & (F.col("value") == "true")).select("person_id").dropDuplicates()
