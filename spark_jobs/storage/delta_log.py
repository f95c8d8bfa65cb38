"""What lies in a Delta table's folder, read without Delta: its log file by file, its data files by name and length.

Delta believes its log. An audit must not: a commit that became empty reads as "nothing happened", a flipped byte in
the name of an action makes it vanish, and a count comes from the log even where the data file is gone.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.hadoop import file_system

_FILE = "add struct<path: string, size: bigint>, remove struct<path: string>"
_CHECKSUM = "txnId string, numFiles bigint, tableSizeBytes bigint"


def log_files(lake: Lake, table: Table) -> list[tuple[str, int]]:
    """Name and length of each file of the log; of the 30 days that Delta keeps, as Delta itself lists them.

    Hadoop is asked, not Spark: Spark passes over files of no bytes.
    """
    files, folder = file_system(lake, log_folder(lake, table))
    return [(str(one.getPath().getName()), int(one.getLen())) for one in files.listStatus(folder)]


def log_lines(lake: Lake, table: Table, *, after: int, until: int) -> DataFrame:
    """One row per line of the commits after < version <= until, which must all be there: version, line.

    Few, as Delta makes a checkpoint every ten commits; the commits before it are not read.
    """
    commits = [f"{log_folder(lake, table)}/{version:020d}.json" for version in range(after + 1, until + 1)]
    if not commits:
        return lake.spark.createDataFrame([], "version bigint, line string")
    return lake.spark.read.text(commits).select(commit_version().alias("version"), F.col("value").alias("line"))


def checkpoint_actions(lake: Lake, table: Table, *, version: int) -> DataFrame:
    """The files of a checkpoint's adds and removes: version, add (path, size), remove (path)."""
    reader = lake.spark.read.option("pathGlobFilter", f"{version:020d}.checkpoint*.parquet").schema(_FILE)
    return reader.parquet(log_folder(lake, table)).select(F.lit(version).cast("bigint").alias("version"), "*")


def checksum(lake: Lake, table: Table, *, version: int) -> dict[str, Any] | None:
    """What Delta noted of a version beside its commit: txnId, numFiles, tableSizeBytes; None where it noted nothing."""
    reader = lake.spark.read.option("pathGlobFilter", f"{version:020d}.crc").schema(_CHECKSUM)
    rows = reader.json(log_folder(lake, table)).take(1)
    return rows[0].asDict() if rows else None


def data_files(lake: Lake, table: Table) -> DataFrame:
    """One row per Parquet file under the table's folder, whether the log names it or not: path (relative), length."""
    reader = lake.spark.read.format("binaryFile").option("pathGlobFilter", "*.parquet")
    files = reader.option("recursiveFileLookup", "true").load(lake.path_of(table))
    _, folder = file_system(lake, lake.path_of(table))
    below = len(str(folder.toString())) + 2
    return files.select(F.expr(f"substring(path, {below})").alias("path"), "length")


def commit_version() -> Column:
    """The version of the commit file that a row was read from; null for other files."""
    return F.regexp_extract(F.col("_metadata.file_name"), r"^(\d{20})\.json$", 1).try_cast("bigint")


def log_folder(lake: Lake, table: Table) -> str:
    """The folder of a table's log."""
    return f"{lake.path_of(table)}/_delta_log"
