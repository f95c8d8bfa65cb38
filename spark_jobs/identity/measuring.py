"""How good a snapshot is, as far as the tables tell: coverage per source and type, hubs, sizes of persons, bridges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.batches import in_whole_groups
from spark_jobs.identity.decisions import SOURCE
from spark_jobs.identity.ledger import VALUE
from spark_jobs.identity.looking import ENDS
from spark_jobs.identity.rules import PARKED, REDUNDANT, SUPER_NODE, USED

BRIDGES = "identifier_a bigint, identifier_b bigint, part bigint, whole bigint"
# A link is no bridge where one of its sides is smaller: a person has few identifiers, and most hang on one link.
LEAST_PART = 10


def of_sources(events: DataFrame, ledger: DataFrame) -> DataFrame:
    """source, events, with_identifier, with_person, share_with_person, links: one row per source.

    In: events with their person (`people.resolve.with_person`); rows of the ledger.
    """
    covered = events.groupBy("source").agg(
        F.count(F.lit(1)).alias("events"),
        F.count("subject_token").alias("with_identifier"),
        F.count("person_id").alias("with_person"),
    )
    linked = (
        ledger.where(F.col("source") != SOURCE)
        .groupBy("source")
        .agg(F.count_distinct("identifier_a", "identifier_b").alias("links"))
    )
    # Both have one row a source, so this join cannot add rows.
    both = covered.join(linked, on="source", how="full").na.fill(0)
    share = F.when(F.col("events") > 0, F.round(F.col("with_person") / F.col("events"), 6))
    return both.withColumn("share_with_person", share).orderBy("source")


def of_types(identifiers: DataFrame, held: DataFrame) -> DataFrame:
    """type, identifiers, held (for good), alone (by a person of one identifier): one row per type.

    In: rows of `core.identifiers`; identifier_no, person_id of identifiers that belong to one person for ever.
    """
    sizes = held.groupBy("person_id").agg(F.count(F.lit(1)).alias("size"))
    # sizes has a person once and held an identifier once, so neither join can add rows.
    sized = held.join(sizes, on="person_id", how="inner").select("identifier_no", "size")
    every = identifiers.select("identifier_no", "type").join(sized, on="identifier_no", how="left")
    return (
        every.groupBy("type")
        .agg(
            F.count(F.lit(1)).alias("identifiers"),
            F.count("size").alias("held"),
            F.count_if(F.col("size") == 1).alias("alone"),
        )
        .orderBy("type")
    )


def of_persons(held: DataFrame) -> DataFrame:
    """at_least, persons: how many persons hold so many identifiers and fewer than twice as many."""
    sizes = held.groupBy("person_id").agg(F.count(F.lit(1)).alias("size"))
    # Digits in base two are exact, a logarithm is not.
    power = F.expr("shiftleft(1L, length(bin(size)) - 1)")
    return sizes.groupBy(power.alias("at_least")).agg(F.count(F.lit(1)).alias("persons")).orderBy("at_least")


def largest(held: DataFrame) -> DataFrame:
    """person_id, identifiers: the largest persons first."""
    sizes = held.groupBy("person_id").agg(F.count(F.lit(1)).alias("identifiers"))
    return sizes.orderBy(F.desc("identifiers"), "person_id")


def bridges(states: DataFrame, held: DataFrame) -> DataFrame:
    """person_id, identifier_a, identifier_b, part, whole: links without which a person falls into two big parts.

    `part` identifiers of `whole` hang on the link alone; the largest parts first. Only persons that can have two parts
    of LEAST_PART are looked at.
    """
    sizes = held.groupBy("person_id").agg(F.count(F.lit(1)).alias("size"))
    big = sizes.where(F.col("size") >= 2 * LEAST_PART).withColumn("group", F.xxhash64("person_id"))
    # big has a person once and held an identifier once: a link gets the person of its ends, which is one.
    mine = held.join(big, on="person_id", how="inner").select(
        F.col("identifier_no").alias("identifier_a"), "person_id", "group"
    )
    links = states.where(F.col("state").isin(USED, REDUNDANT)).select(*ENDS)
    grouped = links.join(mine.select("identifier_a", "group"), on="identifier_a", how="inner")
    ordered = grouped.repartition("group").sortWithinPartitions("group").select("group", *ENDS)
    found = ordered.mapInArrow(found_bridges, BRIDGES)
    named = found.join(mine.select("identifier_a", "person_id"), on="identifier_a", how="inner")
    return named.orderBy(F.desc("part"), *ENDS)


def found_bridges(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of BRIDGES. In: group, identifier_a, identifier_b, sorted by group."""
    from spark_jobs.identity.bridges import bridges_of  # noqa: PLC0415 - numba belongs to workers only

    for _group, a, b in in_whole_groups(batches):
        columns = [pa.array(column) for column in bridges_of(a, b, LEAST_PART)]
        yield pa.RecordBatch.from_arrays(columns, names=[*ENDS, "part", "whole"])


def hubs(states: DataFrame, identifiers: DataFrame) -> DataFrame:
    """identifier_no, type, scope, token, links: identifiers with the most links that super-nodes took, first."""
    parked = states.where((F.col("state") == PARKED) & (F.col("reason") == SUPER_NODE))
    ends = parked.select(F.explode(F.array(*ENDS)).alias("identifier_no"))
    counted = ends.groupBy("identifier_no").agg(F.count(F.lit(1)).alias("links"))
    # identifier_no is unique among identifiers, so this join cannot add rows.
    named = counted.join(identifiers.select("identifier_no", *VALUE), on="identifier_no", how="inner")
    return named.orderBy(F.desc("links"), "identifier_no")
