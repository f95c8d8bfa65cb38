"""When events happened: what no clock can have said is refused, in history as in the stream."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from migration.mapping import Cast
from migration.sources.lines import reading_session
from spark_jobs.contracts.schema import Column
from tests.columnar_files import INSTANT, LAST, applied, mapping_to, put

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def session(spark) -> SparkSession:
    return reading_session(spark)


def test_an_event_before_1990_or_after_its_source_is_refused(session, tmp_path) -> None:
    first = datetime(1990, 1, 1, tzinfo=UTC)
    moment = timedelta(microseconds=1)
    times = [first, first - moment, LAST, LAST + moment, None]
    days = [time and time.date() for time in times]
    days[3] = LAST.date() + timedelta(days=1)
    path = put(tmp_path / "a.parquet", pa.table({"at": pa.array(times, INSTANT), "on": days, "any": times}))
    kinds = {"at": "timestamp", "on": "date", "any": "timestamp"}
    for name in ("at", "on", ""):
        columns, rules = [Column(n, t, "") for n, t in kinds.items()], [Cast(n, n) for n in kinds]
        rows = applied(session, path, mapping_to(columns, rules, happened_at=name)).orderBy("line").collect()
        said = ["before 1990-01-01T00:00:00", "in the future: over a day after its source's time"]
        ancient, future = [f"{name}: {reason}" if name else None for reason in said]
        assert [row.reason for row in rows] == [None, ancient, None, future, None]
