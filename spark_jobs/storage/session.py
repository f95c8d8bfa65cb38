"""The Spark session: settings that every job shares, with the reason for each."""

from __future__ import annotations

import os
from pathlib import Path

from pyspark.sql import SparkSession

from spark_jobs.errors import TerminalError
from spark_jobs.settings import SparkSettings

# Two partitions for state and shuffles serve two cores; a cluster's settings file will say more.
_FIXED = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.compression.codec": "zstd",
    # Page checksums are written anyway; without this they are never compared (20 of 73 flipped bits went unseen).
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
    "spark.databricks.delta.snapshotPartitions": "2",
    # A lost answer to a commit becomes one commit, not two.
    "spark.databricks.delta.commit.idempotencyCheck.enabled": "true",
    "spark.shuffle.checksum.enabled": "true",
    "spark.sql.shuffle.orderIndependentChecksum.enabled": "true",
    "spark.speculation": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.log.level": "WARN",
}


def start_session(settings: SparkSettings, name: str) -> SparkSession:
    """Start (or join) the session of this process; TerminalError where a jar is missing."""
    missing = [jar for jar in settings.jars if not Path(jar).is_file()]
    if missing:
        raise TerminalError(
            f"Spark jars are missing: {', '.join(missing[:3])}; run the set-up again (`./databank status`)"
        )
    _start_java_with_memory(settings.driver_memory_mb)
    builder = SparkSession.builder.master(settings.master).appName(name)
    for key, value in _FIXED.items():
        builder = builder.config(key, value)
    return (
        builder.config("spark.jars", ",".join(settings.jars))
        .config("spark.local.dir", settings.local_dir)
        .config("spark.sql.shuffle.partitions", str(max(2, os.cpu_count() or 2)))
        .config("spark.sql.warehouse.dir", f"{settings.local_dir}/warehouse")
        .getOrCreate()
    )


def _start_java_with_memory(driver_memory_mb: int) -> None:
    # Driver memory is fixed when the JVM starts, so it has to be an argument of spark-submit, not a setting.
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", f"--driver-memory {driver_memory_mb}m pyspark-shell")
