"""Who enters and who leaves a value of a tag, counted; null stands for the tag's `otherwise` value."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_KEY = ("tag", "person_id")


def between(before: DataFrame, after: DataFrame) -> DataFrame:
    """tag, person_id, old_value, new_value of persons whose value is not what it was.

    In: two frames with tag, person_id, value; a person has one value of a tag at most.
    """
    old = before.select(*_KEY, F.col("value").alias("old_value"))
    new = after.select(*_KEY, F.col("value").alias("new_value"))
    # Both are unique on tag and person, so this join cannot add rows.
    both = old.join(new, on=list(_KEY), how="full")
    return both.where(~F.col("old_value").eqNullSafe(F.col("new_value")))


def over_time(changes: DataFrame) -> DataFrame:
    """What several publications changed altogether: as `between` the state before the first and that of the last.

    In: rows of `tags.changes`; those of a person and tag follow one another.
    """
    ends = changes.groupBy(*_KEY).agg(
        F.min_by("old_value", "state_version").alias("old_value"),
        F.max_by("new_value", "state_version").alias("new_value"),
    )
    return ends.where(~F.col("old_value").eqNullSafe(F.col("new_value")))


def moves(changed: DataFrame, *, most: int) -> DataFrame:
    """tag, value, entered, left (persons) of the `most` values of each tag that moved most. In: rows of `between`."""
    sides = [
        F.struct(F.col(side).alias("value"), F.lit(entered).alias("entered"), F.lit(left).alias("left"))
        for side, entered, left in (("old_value", 0, 1), ("new_value", 1, 0))
    ]
    each = changed.select("tag", F.explode(F.array(*sides)).alias("side")).select("tag", "side.*")
    counted = each.groupBy("tag", "value").agg(F.sum("entered").alias("entered"), F.sum("left").alias("left"))
    by_size = Window.partitionBy("tag").orderBy(F.desc(F.col("entered") + F.col("left")), "value")
    return counted.withColumn("place", F.row_number().over(by_size)).where(F.col("place") <= most).drop("place")


def sample(values: DataFrame, *, most: int) -> DataFrame:
    """tag, person_id, value of `most` persons of each tag, the same whenever it is asked. In: tag, person_id, value."""
    by_chance = Window.partitionBy("tag").orderBy(F.xxhash64("person_id"), "person_id")
    placed = values.select(*_KEY, "value").withColumn("place", F.row_number().over(by_chance))
    return placed.where(F.col("place") <= most).drop("place")
