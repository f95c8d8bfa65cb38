"""A target that is not one plan's alone: rows of other plans win and lose there, and rows of no plan are named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from migration.copying import copy_all
from migration.healing import heal
from migration.settling import Settled
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.errors import TerminalError
from spark_jobs.storage.delta import Lake
from tests.migration_files import OldSystem, line, planned
from tests.settled_history import chunks, run_sql, settled, states

pytestmark = pytest.mark.thorough


@pytest.fixture
def next_plan(history: Path, spark: SparkSession) -> Iterator[Work]:
    """File a was copied and is gone; file d repeats a basket of it, and brings one."""
    old = OldSystem(history / "old")
    (old.export / "transactions" / "transactions-a.csv").unlink()
    old.put("d", [line(3, sales_value="6.00"), line(7)])
    with planned(old, Lake(spark, str(history / "lake")), history / "keys" / "root.json") as work:
        heal(work, ORDER_LINES)
        copy_all(work)
        assert settled(work) == Settled(history=1)
        yield work


def test_rows_that_gave_way_to_another_plan_s_are_no_loss(next_plan) -> None:
    facts = verify_table(next_plan, next_plan.mappings[0])
    assert states(next_plan) == {"b": "verified", "c": "verified", "d": "verified"}
    ((winner, rows),) = facts["gave_way"]["to"].items()
    assert "transactions-a.csv" in winner
    assert (rows, facts["gave_way"]["rows"]) == (3, 3)
    assert facts["columns"]["sales_value"] == {"nulls": 0, "min": "1.50", "max": "3.00"}

    run_sql(next_plan, "DELETE FROM {t} WHERE order_id = '3'")
    with pytest.raises(TerminalError, match=r"transactions-b.csv\S+ position 2: lost from the target"):
        verify_table(next_plan, next_plan.mappings[0])
    assert states(next_plan) == {"b": "failed", "c": "verified", "d": "verified"}
    assert len(chunks(next_plan)) == 3
