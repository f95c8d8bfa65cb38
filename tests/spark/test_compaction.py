"""Compaction: fewer files, the same rows, the same older versions; nothing to do makes no commit."""

from __future__ import annotations

import argparse
from datetime import date, timedelta

import pytest

from spark_jobs.contracts.core import ORDERS, PRODUCTS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage import compaction, delta
from spark_jobs.storage.delta import Lake
from spark_jobs.upkeep import compact_job
from spark_jobs.upkeep.job import audit
from tests.tag_histories import Order, local
from tests.tag_tables import add, order_row, settings_of

pytestmark = pytest.mark.thorough

APPENDS = 5


def args(table: Table, *, days: int = 36_500) -> argparse.Namespace:
    return argparse.Namespace(table=[table.name], days=days)


def files_of(lake: Lake, table: Table) -> int:
    return len(set(delta.read(lake, table).inputFiles()))


def test_many_small_files_of_a_day_become_one_and_every_version_keeps_its_rows(lake: Lake) -> None:
    for number in range(APPENDS):
        add(lake, ORDERS, [order_row(1, number, Order(local("2017-12-01T10:00")))])
    before, version = sorted(delta.read(lake, ORDERS).collect()), delta.current_version(lake, ORDERS)
    assert files_of(lake, ORDERS) == APPENDS

    found = compact_job.run(lake.spark, settings_of(lake), args(ORDERS))
    told = {"removed": APPENDS, "added": 1}
    assert found == {"tables": 1, **told, "by_table": {ORDERS.name: told}}
    assert files_of(lake, ORDERS) == 1
    assert sorted(delta.read(lake, ORDERS).collect()) == before
    assert delta.read(lake, ORDERS, version=version - 1).count() == APPENDS - 1
    assert audit(lake, ORDERS).problems == []

    compacted = delta.current_version(lake, ORDERS)
    assert compact_job.run(lake.spark, settings_of(lake), args(ORDERS))["removed"] == 0
    assert delta.current_version(lake, ORDERS) == compacted


def test_days_before_the_last_ones_are_left_alone(lake: Lake) -> None:
    for number in range(2):
        add(lake, ORDERS, [order_row(1, number, Order(local("2017-12-01T10:00")))])
    assert compact_job.run(lake.spark, settings_of(lake), args(ORDERS, days=35))["removed"] == 0
    assert files_of(lake, ORDERS) == 2


def test_a_table_without_days_is_looked_at_whole() -> None:
    day = (date.today() - timedelta(days=40)).isoformat()  # noqa: DTZ011 - a week more or less does not matter
    assert compaction._since(PRODUCTS, 35) == ""
    assert compaction._since(ORDERS, 35) > f"{ORDERS.partition_by[0]} >= DATE '{day}'"


def test_days_that_are_none_are_refused() -> None:
    with pytest.raises(TerminalError, match="--days is 0"):
        compact_job.preflight(None, args(ORDERS, days=0))  # type: ignore[arg-type] # it asks nothing of the settings
