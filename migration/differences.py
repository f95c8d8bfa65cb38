"""Which lines differ between source and target: first the key buckets that disagree, then the lines in them."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

BUCKETS = 4_096
SHOWN_BUCKETS = 20
SHOWN_LINES = 10


def differing_lines(source: DataFrame, target: DataFrame, origins: Sequence[str]) -> list[str]:
    """The first differing lines of these chunks in words; no content.

    In: rows of origin, origin_position, digest, key_a on both sides.
    """
    sides = [_bucketed(side.where(F.col("origin").isin(list(origins)))) for side in (source, target)]
    buckets = _differing(sides[0], sides[1], ("origin", "bucket")).select("origin", "bucket").limit(SHOWN_BUCKETS)
    found = [(row["origin"], row["bucket"]) for row in buckets.collect()]
    if not found:
        return []
    is_found = F.struct("origin", "bucket").isin([F.struct(F.lit(o), F.lit(b).cast("bigint")) for o, b in found])
    narrowed = [side.where(is_found) for side in sides]
    lines = _differing(narrowed[0], narrowed[1], ("origin", "origin_position"))
    rows = lines.orderBy("origin", "origin_position").limit(SHOWN_LINES).collect()
    texts = [f"  {r['origin']} position {r['origin_position']}: {_verdict(r['source_n'], r['target_n'])}" for r in rows]
    return [f"  differing key buckets (of {BUCKETS}): {', '.join(str(b) for _, b in found)}", *texts]


def _bucketed(rows: DataFrame) -> DataFrame:
    return rows.withColumn("bucket", F.pmod("key_a", F.lit(BUCKETS)))


def _differing(source: DataFrame, target: DataFrame, by: tuple[str, ...]) -> DataFrame:
    """Groups whose count, xor or sum differ: the group's columns, source_n and target_n."""
    pair = _summed(source, by, "source").join(_summed(target, by, "target"), on=list(by), how="full").na.fill(0)
    parts = [F.col(f"source_{name}") != F.col(f"target_{name}") for name in ("n", "xor", "sum")]
    return pair.where(parts[0] | parts[1] | parts[2])


def _summed(rows: DataFrame, by: tuple[str, ...], side: str) -> DataFrame:
    digest: Column = F.col("digest")
    return rows.groupBy(*by).agg(
        F.count(digest).alias(f"{side}_n"),
        F.bit_xor(digest).alias(f"{side}_xor"),
        F.sum(digest.cast("decimal(20,0)")).alias(f"{side}_sum"),
    )


def _verdict(source_rows: int, target_rows: int) -> str:
    if target_rows < source_rows:
        return "lost from the target"
    if target_rows == source_rows:
        return "changed in the target"
    return "in the target and not in the source" if source_rows == 0 else f"{target_rows} times in the target"
