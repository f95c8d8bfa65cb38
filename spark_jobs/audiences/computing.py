"""Audiences as pure functions of published tags, of the map and of the state before; nothing here reads or writes."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.audiences.evaluating import RESULT_DDL, STATE, Build, evaluating
from spark_jobs.audiences.pieces import BEFORE, PERSONS_PART, PIECES_DDL, REFUSED_PART, answering, gathering
from spark_jobs.audiences.questions import Questions


def held_at(identity_map: DataFrame, moment: Column) -> DataFrame:
    """The rows of the map whose identifier is held at a moment. In: rows of the map as a snapshot holds it."""
    return identity_map.where((F.col("valid_from") <= moment) & (F.col("valid_to") > moment))


def pieces_of_tags(rows: DataFrame, questions: Questions) -> DataFrame:
    """Who answers each question with yes. In: rows of `tags.person_tags` of one generation. Out: PIECES_DDL."""
    return rows.select("tag", "value", "person_no").mapInArrow(answering(questions), PIECES_DDL)


def pieces_of_persons(held: DataFrame) -> DataFrame:
    """Everybody who holds an identifier: PIECES_DDL. In: rows of the map, any number of them a person."""
    return held.select("person_no").mapInArrow(gathering(PERSONS_PART), PIECES_DDL)


def pieces_of_refusals(persons: DataFrame) -> DataFrame:
    """Who refuses profiling: PIECES_DDL. In: person_no."""
    return persons.select("person_no").mapInArrow(gathering(REFUSED_PART), PIECES_DDL)


def pieces_of_before(rows: DataFrame) -> DataFrame:
    """The state before: PIECES_DDL. In: rows of `tags.audiences` of one generation."""
    return rows.select(F.concat(F.lit(BEFORE), "audience").alias("part"), "chunk", "members")


def results_of(pieces: DataFrame, build: Build) -> DataFrame:
    """All audiences and all that changed, as bitmaps: RESULT_DDL. A chunk is evaluated by one task."""
    return pieces.groupBy("chunk").applyInArrow(evaluating(build), RESULT_DDL)


def sizes_of(results: DataFrame) -> DataFrame:
    """kind, audience, persons, unknown: a row for each audience, and for each way in which some changed."""
    return results.groupBy("kind", "audience").agg(F.sum("persons").alias("persons"), F.sum("unknown").alias("unknown"))


def states_in(results: DataFrame) -> DataFrame:
    """audience, chunk, members, persons of every bitmap that is not empty."""
    return results.where((F.col("kind") == STATE) & (F.col("persons") > 0)).select(
        "audience", "chunk", "members", "persons"
    )
