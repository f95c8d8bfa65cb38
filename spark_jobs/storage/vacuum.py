"""Files of a Delta table that no version needs any more: replaced ones, and those of a writer that died.

Delta's own command decides which: what its log names stays, and what was named until some time ago, and all that is
younger than that. Its SQL gathers every path on the driver, so its function is called, which PySpark has no name for
(Delta 4.4, `VacuumCommand`).
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import Lake


def unneeded(lake: Lake, table: Table, *, hours: float) -> DataFrame:
    """What a vacuum would delete now: path, length; the length of an empty folder is null.

    `hours`: what is younger, or left the table later, stays.
    """
    paths = DataFrame(_vacuum(lake, table, hours=hours, is_dry_run=True), lake.spark)
    reader = lake.spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    files = reader.load(lake.path_of(table)).select("path", "length")
    # Every path once on both sides, so this join cannot add rows; no content is read for two columns of names.
    return paths.join(files, on="path", how="left")


def totals(paths: DataFrame) -> tuple[int, int, int]:
    """Files, their bytes, and empty folders. In: `unneeded`."""
    counts = (F.count("length"), F.coalesce(F.sum("length"), F.lit(0)), F.count_if(F.col("length").isNull()))
    found = paths.agg(*counts).collect()[0]
    return int(found[0]), int(found[1]), int(found[2])


def vacuum(lake: Lake, table: Table, *, hours: float) -> None:
    """Delete them, on the executors."""
    _vacuum(lake, table, hours=hours, is_dry_run=False)


def _vacuum(lake: Lake, table: Table, *, hours: float, is_dry_run: bool) -> Any:  # noqa: ANN401 - a Java object
    java: Any = lake.spark._jvm  # noqa: SLF001 - PySpark has no name for it
    command = java.org.apache.spark.sql.delta.commands.VacuumCommand

    def default(number: int) -> Any:  # noqa: ANN401 - a Java object
        return getattr(command, f"gc$default${number}")()

    session, path = lake.spark._jsparkSession, java.org.apache.hadoop.fs.Path(lake.path_of(table))  # noqa: SLF001
    at = java.org.apache.spark.sql.delta.catalog.DeltaTableV2.apply(session, path, default(7), "VACUUM")
    retain = java.scala.Option.apply(float(hours))
    return command.gc(session, at, is_dry_run, retain, *map(default, (5, 6, 7, 8)))
