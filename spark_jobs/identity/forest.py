"""Which links hold a person together: the strongest spanning forest that breaks no uniqueness rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.identity.batches import in_whole_groups
from spark_jobs.identity.rules import ALREADY_JOINED, KEPT_APART, PARKED, REDUNDANT, SPANNING, UNIQUENESS, USED

# In the order of the kernel's verdicts.
_STATES = (USED, REDUNDANT, PARKED, PARKED)
_REASONS = (SPANNING, ALREADY_JOINED, UNIQUENESS, KEPT_APART)
_JUDGED = ("component", "identifier_a", "identifier_b", "a_unique", "b_unique", "separates")
_SCHEMA = "identifier_a bigint, identifier_b bigint, verdict int, a_label bigint, b_label bigint"


def exclusive_links(links: DataFrame) -> DataFrame:
    """Guarded links that may join, between identifiers that belong to one person for ever."""
    return links.where(F.col("state").isNull() & ~F.col("a_sliced") & ~F.col("b_sliced"))


def spanning_forest(links: DataFrame, labels: DataFrame, separations: DataFrame) -> DataFrame:
    """Judge each link in the order of strength: it joins, it is redundant, or it would join what must stay apart.

    Apart stay two values of a unique type, and the ends of a separation, however they would meet. A component that
    breaks no rule never meets a conflict, so the same pass serves all. Components share a partition and are never
    gathered elsewhere; a giant one is one run of the kernel.

    In:  rows of `exclusive_links`; node, root of all their ends; identifier_a, identifier_b of separations.
    Out: one row per link: identifier_a, identifier_b, state, reason, a_label, b_label (smallest number of the person).
    """
    component = labels.select(F.col("node").alias("identifier_a"), F.col("root").alias("component"))
    other = labels.select(F.col("node").alias("identifier_b"), F.col("root").alias("component"))
    # labels has every node once, so these joins cannot add rows.
    placed = links.join(component, on="identifier_a", how="inner").withColumn("separates", F.lit(0).cast("bigint"))
    apart = separations.join(component, on="identifier_a", how="inner").join(other, on=["identifier_b", "component"])
    zero = F.lit(0).cast("bigint")
    of_decisions = {"a_unique": zero, "b_unique": zero, "separates": zero + 1, "strength": F.lit(None)}
    rows = placed.select(*_JUDGED, "strength").unionByName(apart.withColumns(of_decisions).select(*_JUDGED, "strength"))
    ordered = rows.repartition("component").sortWithinPartitions("component", "strength")
    judged = ordered.select(*_JUDGED).mapInArrow(_judge, _SCHEMA)
    place = F.col("verdict") + 1
    return judged.select(
        "identifier_a",
        "identifier_b",
        F.element_at(F.array(*map(F.lit, _STATES)), place).alias("state"),
        F.element_at(F.array(*map(F.lit, _REASONS)), place).alias("reason"),
        "a_label",
        "b_label",
    )


def _judge(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    from spark_jobs.identity.unionfind import constrained_forest  # noqa: PLC0415 - numba belongs to workers only

    for _component, ends_a, ends_b, a_unique, b_unique, separates in in_whole_groups(batches):
        is_link, is_apart = separates == 0, separates != 0
        a, b = ends_a[is_link], ends_b[is_link]
        verdicts, a_label, b_label = constrained_forest(
            (a, b), (a_unique[is_link], b_unique[is_link]), (ends_a[is_apart], ends_b[is_apart])
        )
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
