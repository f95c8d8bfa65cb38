"""Erasure beside triggers, which run every quarter of an hour: no run that is under way brings anybody back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spark_jobs.contracts.core import EVENTS, ORDERS
from spark_jobs.contracts.triggers import TRIGGER_RUNS
from spark_jobs.erasure import in_triggers
from spark_jobs.erasure.clearing import Cleared, Way
from spark_jobs.erasure.in_triggers import clear_triggers
from spark_jobs.erasure.plan import IDENTIFIERS, PERSONS, Plan
from spark_jobs.errors import RetryableError
from spark_jobs.protection.tombstones import ALWAYS_US
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.triggers import publication
from spark_jobs.triggers.definitions import HOUR
from tests.spark.test_triggers import AT, MINUTE, NOBODY, decide, people, states
from tests.tag_histories import Order
from tests.tag_tables import add, order_row, token
from tests.trigger_rows import CART, cart_event, write_triggers


def plan_of(lake: Lake, person: int) -> Plan:
    """A run of erasure that found one person, with a device."""
    plan, spark = Plan(lake, "erase-1"), lake.spark
    plan.keep(spark.createDataFrame([("r", f"p{person}", person)], PERSONS), "persons")
    held = ("r", 1, "device", "test", bytearray(token("device", person)), ALWAYS_US, 2**60)
    plan.keep(spark.createDataFrame([held], IDENTIFIERS), "identifiers")
    return plan


def test_runs_under_way_bring_nobody_back(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_triggers(tmp_path / "t", {**CART, **NOBODY})
    people(lake, 0, 1)
    add(lake, EVENTS, [cart_event(0, "a", AT - 24 * HOUR), cart_event(1, "b", AT - 24 * HOUR)])
    add(lake, ORDERS, [])
    decide(lake, folder, AT)
    add(lake, ORDERS, [order_row(0, 0, Order(AT + MINUTE))])
    plan, found, publish = plan_of(lake, 0), list[Cleared](), publication.publish

    def behind_an_erasure(*given: Any, **named: Any) -> None:
        monkeypatch.setattr(publication, "publish", publish)
        found.append(clear_triggers(plan, Way(plan.run_id)))
        publish(*given, **named)

    monkeypatch.setattr(publication, "publish", behind_an_erasure)
    with pytest.raises(RetryableError, match="another run published beside this one"):
        decide(lake, folder, AT + 2 * MINUTE)
    assert (found[0].removed, states(lake)) == (2, {"cart/b": ("due", "")}), "the step that had no number yet as well"

    # This one is faster than the erasure takes the number; her events are still there.
    cleared = in_triggers.cleared

    def slow(*given: Any) -> Cleared:
        monkeypatch.setattr(in_triggers, "cleared", cleared)
        first = cleared(*given)
        decide(lake, folder, AT + 3 * MINUTE)
        assert states(lake)["cart/a"] == ("cancelled", "ended")
        return first

    monkeypatch.setattr(in_triggers, "cleared", slow)
    assert clear_triggers(plan, Way(plan.run_id)).removed == 3
    assert states(lake) == {"cart/b": ("due", "")}
    kinds = delta.read(lake, TRIGGER_RUNS).orderBy("number").select("kind").collect()
    assert [row["kind"] for row in kinds] == ["decide", "erase", "decide", "erase"]
