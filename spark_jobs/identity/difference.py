"""What another snapshot would change for people: who splits, merges, moves, and which identifiers change hands."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.rules import ALWAYS


def hands(mapped: DataFrame) -> DataFrame:
    """identifier_no, before, after (persons; null where nobody holds it for good): identifiers that change hands.

    In: rows of `core.identity_map` to close (`system_to` set) and to open.
    """
    lasting = mapped.where(F.col("valid_from") == F.expr(ALWAYS))
    is_closed = F.col("system_to").isNotNull()
    # An identifier is held for good by one person, so it has one row to close and one to open at most.
    return lasting.groupBy("identifier_no").agg(
        F.max(F.when(is_closed, F.col("person_id"))).alias("before"),
        F.max(F.when(~is_closed, F.col("person_id"))).alias("after"),
    )


def spans(mapped: DataFrame) -> DataFrame:
    """name, number: identifiers whose spans of time change, which several persons share."""
    sliced = mapped.where(F.col("valid_from") != F.expr(ALWAYS))
    return sliced.agg(F.count_distinct("identifier_no").alias("number")).select(
        F.lit("shared identifiers whose spans change").alias("name"), "number"
    )


def counts(changed: DataFrame, happened: DataFrame, mapped: DataFrame) -> DataFrame:
    """name, number: what happens to persons, and to identifiers.

    In: rows of `hands`; rows of `core.person_events` that would be written; rows of the map that would be.
    """
    kinds = {"merge": "persons merged", "split": "persons split off", "move": "persons that resolve to another"}
    kinds |= {"handover": "pairs of persons between whom identifiers go, by no merge or split of the two"}
    loses, gains = F.col("after").isNull(), F.col("before").isNull()
    identifiers = {
        "identifiers that go to another person": ~loses & ~gains,
        "identifiers that nobody holds any longer": loses,
        "identifiers that somebody holds since": gains,
    }
    parts = [
        happened.agg(F.count_if(F.col("kind") == kind).alias("number")).select(F.lit(name).alias("name"), "number")
        for kind, name in kinds.items()
    ]
    parts += [
        changed.agg(F.count_if(holds).alias("number")).select(F.lit(name).alias("name"), "number")
        for name, holds in identifiers.items()
    ]
    touched = changed.where(F.col("before").isNotNull()).agg(F.count_distinct("before").alias("number"))
    parts += [touched.select(F.lit("persons that lose an identifier").alias("name"), "number"), spans(mapped)]
    return reduce(DataFrame.unionByName, parts)


def examples(changed: DataFrame) -> DataFrame:
    """before, after, identifiers: from whom to whom how many go, the most first."""
    sized = changed.groupBy("before", "after").agg(F.count(F.lit(1)).alias("identifiers"))
    return sized.orderBy(F.desc("identifiers"), "before", "after")
