"""Expiry: days that are over go, the others stay; nothing configured, nothing goes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from spark_jobs.contracts.operations import RAW_EVENTS
from spark_jobs.settings import Settings
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.upkeep import expire_job
from tests.tag_tables import add, settings_of

NOW = datetime.now(UTC)


def message(days_ago: int, offset: int) -> dict[str, object]:
    at = NOW - timedelta(days=days_ago)
    place = {"topic": "t", "partition": 0, "offset": offset}
    return {**place, "received_at": at, "received_date": at.date(), "body": "{}"}


def expire(lake: Lake, settings: Settings, *, is_dry_run: bool = False) -> dict[str, object]:
    args = argparse.Namespace(dry_run=is_dry_run)
    expire_job.preflight(settings, args)
    return expire_job.run(lake.spark, settings, args)


def offsets(lake: Lake) -> list[int]:
    return sorted(row["offset"] for row in delta.read(lake, RAW_EVENTS).select("offset").collect())


def test_rows_of_days_that_are_over_go_and_are_counted(lake: Lake) -> None:
    add(lake, RAW_EVENTS, [message(0, 1), message(10, 2), message(11, 3), message(50, 4)])
    nothing = settings_of(lake)
    assert expire(lake, nothing)["tables"] == 0
    ten = replace(nothing, retention_days=((RAW_EVENTS.name, 10),))
    dry = expire(lake, ten, is_dry_run=True)
    assert (dry["deleted"], dry["rows"], offsets(lake)) == (False, 2, [1, 2, 3, 4])
    files = {path.name for path in Path(lake.path_of(RAW_EVENTS)).rglob("*.parquet")}
    done = expire(lake, ten)
    oldest = (NOW - timedelta(days=50)).date().isoformat()
    told = {"rows": 2, "oldest": oldest, "kept_since": (NOW - timedelta(days=10)).date().isoformat()}
    assert (done["deleted"], done["rows"], done["by_table"]) == (True, 2, {RAW_EVENTS.name: told})
    assert offsets(lake) == [1, 2]
    assert {path.name for path in Path(lake.path_of(RAW_EVENTS)).rglob("*.parquet")} == files, "no file is written anew"
    version = delta.current_version(lake, RAW_EVENTS)
    assert expire(lake, ten)["rows"] == 0
    assert delta.current_version(lake, RAW_EVENTS) == version, "nothing is due, nothing is committed"
