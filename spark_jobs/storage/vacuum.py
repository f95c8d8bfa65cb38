"""Files of a Delta table that no version needs any more: replaced ones, and those of a writer that died.

Delta's own command decides which: what its log names stays, what it named within the table's retention
(`delta.deletedFileRetentionDuration`, 7 days where the contract says nothing), and all that is younger than that. A
retention that it is given instead it ignores since 4.4. Its SQL gathers every path on the driver, so its function is
called, which PySpark has no name for (`VacuumCommand`).
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import Lake

# Delta lists folders in as many tasks as this says, 10,000 unless told otherwise, and goes over the list several times.
_LISTING = "spark.sql.sources.parallelPartitionDiscovery.parallelism"
_TASKS_A_CORE = 4


def unneeded(lake: Lake, table: Table) -> DataFrame:
    """What a vacuum would delete now: path, length, written_at; both of the last are null for an empty folder."""
    session = _session(lake)
    paths = DataFrame(_vacuum(session, lake.path_of(table), is_dry_run=True), session)
    reader = session.read.format("binaryFile").option("recursiveFileLookup", "true")
    files = reader.load(lake.path_of(table)).select("path", "length", F.col("modificationTime").alias("written_at"))
    # Every path once on both sides, so this join cannot add rows; no content is read for columns of names and sizes.
    return paths.join(files, on="path", how="left")


def totals(paths: DataFrame) -> tuple[int, int, int]:
    """Files, their bytes, and empty folders. In: `unneeded`."""
    counts = (F.count("length"), F.coalesce(F.sum("length"), F.lit(0)), F.count_if(F.col("length").isNull()))
    found = paths.agg(*counts).collect()[0]
    return int(found[0]), int(found[1]), int(found[2])


def vacuum(lake: Lake, table: Table) -> None:
    """Delete them, on the executors."""
    _vacuum(_session(lake), lake.path_of(table), is_dry_run=False)


def _session(lake: Lake) -> SparkSession:
    """One of its own, whose settings are nobody else's."""
    session = lake.spark.newSession()
    session.conf.set(_LISTING, session.sparkContext.defaultParallelism * _TASKS_A_CORE)
    session.conf.set("spark.databricks.delta.vacuum.parallelDelete.enabled", "true")  # not one by one, from the driver
    return session


def _vacuum(session: SparkSession, folder: str, *, is_dry_run: bool) -> Any:  # noqa: ANN401 - a Java object
    java: Any = session._jvm  # noqa: SLF001 - PySpark has no name for it
    command, path = java.org.apache.spark.sql.delta.commands.VacuumCommand, java.org.apache.hadoop.fs.Path(folder)

    def default(number: int) -> Any:  # noqa: ANN401 - a Java object
        return getattr(command, f"gc$default${number}")()

    of = session._jsparkSession  # noqa: SLF001
    table = java.org.apache.spark.sql.delta.catalog.DeltaTableV2.apply(of, path, default(7), "VACUUM")
    return command.gc(of, table, is_dry_run, *map(default, (4, 5, 6, 7, 8)))
