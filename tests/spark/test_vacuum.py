"""Vacuum: files that nobody needs go, orphans of a killed writer too; live, recent and uncommitted ones stay."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import pytest

from spark_jobs.contracts.core import ORDERS
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.upkeep import vacuum_job
from spark_jobs.upkeep.job import audit
from tests.tag_histories import Order, local
from tests.tag_tables import add, order_row, settings_of

pytestmark = pytest.mark.thorough

DAY_S = 86_400


def args(*, is_dry_run: bool = False) -> argparse.Namespace:
    return argparse.Namespace(table=[ORDERS.name], dry_run=is_dry_run)


def aged(path: Path, *, days: float) -> Path:
    moment = time.time() - days * DAY_S
    os.utime(path, (moment, moment))
    return path


def orphan(live: Path, name: str, *, days: float) -> Path:
    """A file that a killed writer left behind: written, in no commit."""
    path = live.with_name(name)
    path.write_bytes(live.read_bytes())
    return aged(path, days=days)


def test_orphans_older_than_the_retention_go_and_nothing_else_does(lake: Lake) -> None:
    for number in range(2):
        add(lake, ORDERS, [order_row(1, number, Order(local(f"2017-12-{1 + number:02d}T10:00")))])
    table = Path(lake.path_of(ORDERS))
    live = sorted(aged(path, days=99) for path in table.rglob("*.parquet"))
    old = orphan(live[0], "part-00000-of-a-killed-writer.parquet", days=8)
    young = orphan(live[0], "part-00000-not-committed-yet.parquet", days=6)
    settings, version = settings_of(lake), delta.current_version(lake, ORDERS)
    told = {"files": 1, "bytes": old.stat().st_size, "empty_folders": 0}

    dry = vacuum_job.run(lake.spark, settings, args(is_dry_run=True))
    assert dry == {
        "deleted": False,
        "tables": 1,
        **told,
        "by_table": {ORDERS.name: {**told, "such_as": (f"file:{old}",)}},
    }
    assert old.exists()
    assert delta.current_version(lake, ORDERS) == version

    found = vacuum_job.run(lake.spark, settings, args())
    assert (found["deleted"], found["files"], found["bytes"]) == (True, 1, told["bytes"])
    assert sorted(table.rglob("*.parquet")) == sorted([*live, young])
    assert delta.read(lake, ORDERS).count() == 2
    assert audit(lake, ORDERS).problems == []
    assert vacuum_job.run(lake.spark, settings, args())["files"] == 0
