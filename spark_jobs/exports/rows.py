"""Rows of an export, as pure functions of published tags and of the map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.exports.definition import Condition, Export
from spark_jobs.people.bitmaps import unfolding

PERSON, IDENTIFIERS = "person", "identifiers"


def people(identity_map: DataFrame, moment: Column) -> DataFrame:
    """person_id of everybody who holds an identifier at a moment. In: rows of the map as a snapshot holds it."""
    return identity_map.where(_held(moment)).select("person_id").dropDuplicates()


def members(identity_map: DataFrame, moment: Column, bitmaps: DataFrame) -> DataFrame:
    """person_id of the members of an audience: `people`, as far as they are in its bitmaps.

    In: rows of the map as a snapshot holds it; chunk, members of `tags.audiences`.
    """
    numbers = bitmaps.select("chunk", "members").mapInArrow(unfolding(()), "person_no bigint")
    everybody = identity_map.where(_held(moment)).select("person_id", "person_no").dropDuplicates()
    return everybody.join(numbers, "person_no", "left_semi").select("person_id")


def held_at(identity_map: DataFrame, moment: Column) -> DataFrame:
    """The rows of the map whose identifier is held at a moment. In: rows of the map as a snapshot holds it."""
    return identity_map.where(_held(moment))


def identifiers(identity_map: DataFrame, moment: Column, types: Sequence[str]) -> DataFrame:
    """person_id, type, scope, token of the identifiers of some types that persons hold at a moment."""
    rows = identity_map.where(_held(moment) & F.col("type").isin(*types))
    return rows.select("person_id", "type", "scope", "token")


def _held(moment: Column) -> Column:
    return (F.col("valid_from") <= moment) & (F.col("valid_to") > moment)


def wide(everybody: DataFrame, tags: DataFrame, export: Export, otherwise: Mapping[str, str]) -> DataFrame:
    """One row a person that meets all conditions: person_id, and a column of each tag that is exported.

    In:  person_id; tag, person_id, value of one generation; the value of each tag where a person has no row.
    """
    wanted = tags.where(F.col("tag").isin(*export.tags))
    values = [F.max(F.when(F.col("tag") == name, F.col("value"))).alias(name) for name in export.tags]
    # A person has one value of a tag, and of persons each has one row here: the join adds none.
    joined = everybody.join(wanted.groupBy("person_id").agg(*values), on="person_id", how="left")
    whole = joined.select("person_id", *[F.coalesce(name, F.lit(otherwise[name])).alias(name) for name in export.tags])
    met = reduce(Column.__and__, map(_met, export.only), F.lit(True))
    return whole.where(met).select("person_id", *export.columns)


def _met(condition: Condition) -> Column:
    is_one = F.col(condition.tag).isin(*condition.values)
    return ~is_one if condition.is_not else is_one


def with_identifiers(rows: DataFrame, held: DataFrame, *, as_text: bool) -> DataFrame:
    """Add `identifiers`: texts TYPE:SCOPE:ID in order, as a list, or in one text with blanks between them.

    In: rows with person_id; person_id, type, scope and token, which is the receiver's id, as text.
    """
    one = F.concat_ws(":", "type", "scope", "token")
    listed = held.groupBy("person_id").agg(F.array_sort(F.collect_set(one)).alias(IDENTIFIERS))
    nothing = F.array().cast("array<string>")
    joined = rows.join(listed, on="person_id", how="left")
    found = F.coalesce(IDENTIFIERS, nothing)
    return joined.withColumn(IDENTIFIERS, F.concat_ws(" ", found) if as_text else found)
