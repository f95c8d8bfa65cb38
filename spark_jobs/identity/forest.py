"""Which links hold a person together: the strongest spanning forest that breaks no uniqueness rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.batches import in_whole_groups
from spark_jobs.identity.rules import ALREADY_JOINED, PARKED, REDUNDANT, SPANNING, UNIQUENESS, USED

_SCHEMA = "identifier_a bigint, identifier_b bigint, verdict int, a_label bigint, b_label bigint"


def exclusive_links(links: DataFrame) -> DataFrame:
    """Guarded links that may join, between identifiers that belong to one person for ever."""
    return links.where(F.col("state").isNull() & ~F.col("a_sliced") & ~F.col("b_sliced"))


def spanning_forest(links: DataFrame, labels: DataFrame) -> DataFrame:
    """Judge each link in the order of strength: it joins, it is redundant, or a stronger one took a unique value.

    A component that breaks no rule never meets a conflict, so the same pass serves all. Components share a
    partition and are never gathered elsewhere; a giant one is one run of the kernel.

    In:  rows of `exclusive_links`; node, root of all their ends.
    Out: one row per link: identifier_a, identifier_b, state, reason, a_label, b_label (smallest number of the person).
    """
    component = labels.select(F.col("node").alias("identifier_a"), F.col("root").alias("component"))
    # labels has every node once, so this join cannot add rows.
    placed = links.join(component, on="identifier_a", how="inner")
    ordered = placed.repartition("component").sortWithinPartitions("component", "strength")
    judged = ordered.select("component", "identifier_a", "identifier_b", "a_unique", "b_unique").mapInArrow(
        _judge, _SCHEMA
    )
    verdict = F.col("verdict")
    return judged.select(
        "identifier_a",
        "identifier_b",
        F.element_at(F.array(*map(F.lit, (USED, REDUNDANT, PARKED))), verdict + 1).alias("state"),
        F.element_at(F.array(*map(F.lit, (SPANNING, ALREADY_JOINED, UNIQUENESS))), verdict + 1).alias("reason"),
        "a_label",
        "b_label",
    )


def _judge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    from spark_jobs.identity.unionfind import constrained_forest  # noqa: PLC0415 - numba belongs to workers only

    for _component, a, b, a_unique, b_unique in in_whole_groups(batches):
        verdicts, a_label, b_label = constrained_forest(a, b, a_unique, b_unique)
        yield pa.RecordBatch.from_arrays(
            [pa.array(a), pa.array(b), pa.array(verdicts.astype("int32")), pa.array(a_label), pa.array(b_label)],
            names=["identifier_a", "identifier_b", "verdict", "a_label", "b_label"],
        )


def exclusive_labels(judged: DataFrame, identifiers: DataFrame) -> DataFrame:
    """node, label of every identifier that belongs to one person for ever; without a link it is its own label.

    In: rows of `spanning_forest`; identifier_no of all exclusive identifiers.
    """
    ends = F.explode(
        F.array(
            F.struct(F.col("identifier_a").alias("node"), F.col("a_label").alias("label")),
            F.struct(F.col("identifier_b").alias("node"), F.col("b_label").alias("label")),
        )
    )
    # Every link of a node says the same label, so min() only makes it one row.
    labels = judged.select(ends.alias("end")).groupBy("end.node").agg(F.min("end.label").alias("label"))
    every = identifiers.select(F.col("identifier_no").alias("node"))
    return every.join(labels, on="node", how="left").withColumn("label", F.coalesce("label", "node"))
