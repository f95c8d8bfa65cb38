"""The files of an export, in each of its formats."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from spark_jobs.exports.definition import Export

ROWS_OF_A_FILE = 250_000  # a file is hashed in one piece of memory
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "csv": {"header": True, "escape": '"', "emptyValue": "", "nullValue": ""},
    "jsonl": {"ignoreNullFields": False},
    "orc": {"compression": "zstd"},
    "parquet": {"compression": "zstd"},
}
_SPARKS_NAMES = {"jsonl": "json"}


def write_files(rows: DataFrame, export: Export, folder: str) -> int:
    """Write the files; how many rows."""
    counted = Observation()
    writer = rows.observe(counted, F.count(F.lit(1)).alias("rows")).write
    for name, value in _OPTIONS[export.format].items():
        writer = writer.option(name, value)
    writer = writer.option("maxRecordsPerFile", ROWS_OF_A_FILE)
    writer = writer.option("mapreduce.fileoutputcommitter.marksuccessfuljobs", "false")
    writer.format(_SPARKS_NAMES.get(export.format, export.format)).mode("errorifexists").save(folder)
    return int(counted.get["rows"])
