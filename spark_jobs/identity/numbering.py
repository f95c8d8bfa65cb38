"""Dense numbers in a stated order, without one task that holds every row."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def numbered(rows: DataFrame, name: str, *, moment: str, ties: Sequence[str], after: int) -> DataFrame:
    """Add `name`: after + 1, after + 2, ... in the order of `moment`, then `ties`.

    In: rows whose (moment, ties) are unique and the same whenever they are computed. Rows are numbered hour by hour
    in parallel; one task adds up the hours, and their number is bounded by the calendar, not by the rows.
    """
    hour = F.date_trunc("hour", F.col(moment))
    hourly = rows.withColumn("_hour", hour)
    # The same for every row, but no constant: Spark warns of a window without a partition key.
    one = F.col("_hour").isNull()
    earlier = Window.partitionBy(one).orderBy("_hour").rowsBetween(Window.unboundedPreceding, -1)
    counts = hourly.groupBy("_hour").agg(F.count(F.lit(1)).alias("_rows"))
    offsets = counts.select("_hour", F.coalesce(F.sum("_rows").over(earlier), F.lit(0)).alias("_offset"))
    within = Window.partitionBy("_hour").orderBy(moment, *ties)
    # offsets has one row an hour, so this join cannot add rows.
    placed = hourly.withColumn("_place", F.row_number().over(within)).join(
        F.broadcast(offsets), on="_hour", how="inner"
    )
    return placed.withColumn(name, F.lit(after) + F.col("_offset") + F.col("_place")).drop("_hour", "_offset", "_place")
