"""What every session is set to do."""

from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

WIDEST = "spark.sql.adaptive.coalescePartitions.initialPartitionNum"


def test_what_is_kept_of_few_rows_has_few_pieces_however_wide_a_shuffle_may_be(spark: SparkSession) -> None:
    spark.conf.set(WIDEST, "64")  # a cluster's is wider
    try:
        counts = spark.range(10_000).groupBy((F.col("id") % 1000).alias("key")).count().persist()
        assert counts.count() == 1000
        assert counts.rdd.getNumPartitions() <= 2
        counts.unpersist()
    finally:
        spark.conf.unset(WIDEST)
