"""What a run found, as counts: every cap that acts is among them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.rules import BLOCKLISTED, SHARED, SUPER_NODE, UNDECLARED

LINKS = "links "
# Numbers are given without gaps, but those of erased persons are missing: how many there are does not say the last.
LAST_NUMBER = "last identifier number"


def counts(states: DataFrame, members: DataFrame, wanted: DataFrame) -> DataFrame:
    """name, number: links by state and reason, identifiers, shared ones, persons, persons with a member number."""
    by_state = states.groupBy("state", "reason").agg(F.count(F.lit(1)).alias("number"))
    links = by_state.select(F.concat(F.lit(LINKS), "state", F.lit(": "), "reason").alias("name"), "number")
    is_member = F.when(F.col("type") == "member_no", F.col("person_no"))
    parts = (
        links,
        counted(members, "identifiers"),
        _one(members.agg(F.coalesce(F.max("identifier_no"), F.lit(0)).alias("number")), LAST_NUMBER),
        _of_reasons(members, "identifiers shared", SHARED, SUPER_NODE),
        _of_reasons(members, "identifiers on the blocklist", BLOCKLISTED),
        _of_reasons(members, "identifiers of undeclared types", UNDECLARED),
        _one(wanted.agg(F.count_distinct("person_no").alias("number")), "persons"),
        _one(wanted.agg(F.count_distinct(is_member).alias("number")), "persons with a member number"),
    )
    return reduce(DataFrame.unionByName, parts)


def all_states(guarded: DataFrame, judged: DataFrame, sliced: DataFrame) -> DataFrame:
    """identifier_a, identifier_b, state, reason of every link, from whoever judged it."""
    columns = ("identifier_a", "identifier_b", "state", "reason")
    decided = guarded.where(F.col("state").isNotNull())
    return decided.select(*columns).unionByName(judged.select(*columns)).unionByName(sliced.select(*columns))


def changes(registry: DataFrame, mapped: DataFrame) -> DataFrame:
    """name, number: what the run will write."""
    closed = F.count("system_to")
    return reduce(
        DataFrame.unionByName,
        (
            counted(registry, "registry rows changed"),
            _one(mapped.agg((F.count(F.lit(1)) - closed).alias("number")), "map rows opened"),
            _one(mapped.agg(closed.alias("number")), "map rows closed"),
        ),
    )


def rows_of(tables: Mapping[str, DataFrame]) -> DataFrame:
    """name, number: how many rows each table gets."""
    return reduce(DataFrame.unionByName, (counted(rows, name) for name, rows in tables.items()))


def together(groups: Mapping[str, DataFrame]) -> DataFrame:
    """group, name, number: several counts as one, so that one query answers them."""
    return reduce(DataFrame.unionByName, (rows.withColumn("group", F.lit(name)) for name, rows in groups.items()))


def counted(rows: DataFrame, name: str) -> DataFrame:
    """name, number: how many rows."""
    return _one(rows.agg(F.count(F.lit(1)).alias("number")), name)


def largest(rows: DataFrame, column: str) -> DataFrame:
    """The column's name and its largest number, 0 where there are no rows."""
    return _one(rows.agg(F.coalesce(F.max(column), F.lit(0)).alias("number")), column)


def _of_reasons(members: DataFrame, name: str, *reasons: str) -> DataFrame:
    return _one(members.agg(F.count_if(F.col("reason").isin(*reasons)).alias("number")), name)


def _one(total: DataFrame, name: str) -> DataFrame:
    return total.select(F.lit(name).alias("name"), "number")
