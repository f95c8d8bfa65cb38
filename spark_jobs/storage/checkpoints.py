"""Checkpoints of a run: intermediate rows become committed files in a folder that ends with the run.

Committed files cut the plan, survive the loss of an executor, and give the same rows to every later reader; a
persisted RDD gives none of these.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql import DataFrame

from spark_jobs.storage.delta import Lake
from spark_jobs.storage.hadoop import file_system

# A run that was killed leaves its folder; no run lasts this long, so an older folder belongs to nobody.
ABANDONED_AFTER_S = 2 * 24 * 60 * 60


@dataclass(frozen=True, slots=True)
class Scratch:
    """The folder in which one run commits what it computes on its way."""

    lake: Lake
    folder: str

    def commit(self, rows: DataFrame, name: str) -> DataFrame:
        """Write the rows as a Delta table: for rounds of an iteration, whose versions may outlive a failure."""
        path = f"{self.folder}/{name}"
        writer = rows.write.format("delta").mode("errorifexists")
        # Nobody filters these rows, so statistics would be work for nothing.
        writer.option("delta.dataSkippingNumIndexedCols", "0").save(path)
        return self.lake.spark.read.format("delta").load(path)

    def keep(self, rows: DataFrame, name: str) -> DataFrame:
        """Write the rows as plain files: for steps of one run, at a third of what a Delta table costs to begin.

        The job's commit moves the files of successful tasks into place, so a reader never meets those of others.
        """
        path = f"{self.folder}/{name}"
        rows.write.mode("errorifexists").parquet(path)
        # The schema is known: looking for it in the files would be one job more.
        return self.lake.spark.read.schema(rows.schema).parquet(path)


@contextmanager
def scratch(lake: Lake, job: str, run_id: str) -> Iterator[Scratch]:
    """A folder of this run's own, gone when the block ends; folders of runs that were killed go as well."""
    parent = f"{lake.root}/work/{job}"
    _delete_abandoned(lake, parent)
    folder = f"{parent}/{run_id}"
    try:
        yield Scratch(lake, folder)
    finally:
        files, path = file_system(lake, folder)
        files.delete(path, True)


def _delete_abandoned(lake: Lake, parent: str) -> None:
    files, path = file_system(lake, parent)
    if not files.exists(path):
        return
    oldest_ms = (time.time() - ABANDONED_AFTER_S) * 1000
    for status in files.listStatus(path):
        if status.getModificationTime() < oldest_ms:
            files.delete(status.getPath(), True)
