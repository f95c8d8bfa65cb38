"""A job tells how far its stages are, while they run and where it was asked to."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_jobs.storage import progress

pytestmark = pytest.mark.thorough


def slow(spark: SparkSession) -> DataFrame:
    """Eight tasks of half a second, 1,000 rows each out of files that Spark counts."""

    def wait(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            time.sleep(0.5)
            yield batch

    return spark.range(0, 8_000, 1, 8).mapInArrow(wait, "id long")


@pytest.mark.parametrize("every", ["0.2", "0", "", "often"])
def test_running_stages_are_told_where_that_is_asked_for(spark, monkeypatch, caplog, every) -> None:
    is_told = every == "0.2"
    monkeypatch.setenv(progress.EVERY_VARIABLE, every)
    caplog.set_level(logging.INFO, logger=progress.__name__)
    with progress.told(spark):
        frame = slow(spark) if is_told else spark.range(10)
        assert frame.count() == (8_000 if is_told else 10)
    told = [record.getMessage() for record in caplog.records if record.name == progress.__name__]
    assert bool(told) is is_told
    if is_told:
        done = [int(line.partition("): ")[2].partition(" of 8 tasks")[0]) for line in told if " of 8 tasks" in line]
        assert done == sorted(done)
        assert len(set(done)) > 1, told


def test_what_has_met_rows_says_how_many() -> None:
    stage = progress.Stage(14, "count", 200, 34, 1_204_311, 88_120, 0)
    wanted = "stage 14 (count): 34 of 200 tasks, 1,204,311 rows read, 88,120 rows from shuffles"
    assert str(stage) == wanted
