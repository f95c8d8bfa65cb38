"""Triggers in their topic on a real broker: each once, wherever a sender dies."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame

from services.embedded.stack import EmbeddedStack
from spark_jobs.contracts.core import EVENTS, ORDERS
from spark_jobs.contracts.topics import TRIGGERS_TOPIC
from spark_jobs.contracts.triggers import TRIGGER_DELIVERIES
from spark_jobs.sending import Delivery, send_all
from spark_jobs.settings import Settings, load
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.triggers import send_job
from spark_jobs.triggers.definitions import HOUR
from tests.spark.test_triggers import AT, MINUTE, NOBODY, decide, people
from tests.stack.test_tag_delivery import held
from tests.tag_tables import add
from tests.trigger_rows import CART, cart_event, write_triggers

PERSONS = range(12)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("triggers") / "data", with_trino=False) as running:
        yield running


def told(stack: EmbeddedStack) -> Counter[str]:
    """How often a reader of whole transactions finds each key."""
    return Counter(message.key.decode() for message in held(stack, TRIGGERS_TOPIC.name))


def send(lake: Lake, settings: Settings, folder: Path, at: datetime) -> dict[str, Any]:
    given = argparse.Namespace(workspace="grocery", triggers=folder, at=at.isoformat())
    return dict(send_job.run(lake.spark, settings, given))


def test_each_trigger_is_told_once_wherever_a_sender_dies(
    stack: EmbeddedStack, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(load(stack.settings_path), storage_root=lake.root, profiles=None)
    folder = write_triggers(tmp_path / "t", {**CART, **NOBODY})
    people(lake, *PERSONS)
    add(lake, EVENTS, [cart_event(person, f"购物车 {person}", AT - 25 * HOUR) for person in PERSONS])
    add(lake, ORDERS, [])
    decide(lake, folder, AT, settings)
    wanted = {f"grocery/cart_24h/24h/cart/购物车 {person}" for person in PERSONS}

    def dies_half_way(given: DataFrame, delivery: Delivery, *, partitions: int) -> int:
        send_all(given.where("partition < 2"), delivery, partitions=partitions)
        raise KeyboardInterrupt

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(send_job, "send_all", dies_half_way)
        with pytest.raises(KeyboardInterrupt):
            send(lake, settings, folder, AT + MINUTE)
    assert 0 < len(told(stack)) < len(wanted), "some partitions are sent, and none was recorded"
    with monkeypatch.context() as patched:
        patched.setattr(send_job, "_record", dies)
        with pytest.raises(KeyboardInterrupt):
            send(lake, settings, folder, AT + 2 * MINUTE)
    assert told(stack) == Counter(wanted), "all are sent, and it was not recorded"
    facts = send(lake, settings, folder, AT + 3 * MINUTE)
    assert (facts["claimed"], facts["messages"]) == (0, 0)

    add(lake, EVENTS, [cart_event(person, f"more {person}", AT - 23 * HOUR) for person in (0, 1)])
    decide(lake, folder, AT + timedelta(hours=2), settings)
    assert send(lake, settings, folder, AT + timedelta(hours=2))["messages"] == 2
    assert told(stack) == Counter({*wanted, *(f"grocery/cart_24h/24h/cart/more {person}" for person in (0, 1))})
    bodies = {message.key.decode(): json.loads(message.value) for message in held(stack, TRIGGERS_TOPIC.name)}
    one = bodies["grocery/cart_24h/24h/cart/购物车 3"]
    assert (one["person_id"], one["since_at"], one["number"]) == ("p3", "2018-01-09T16:00:00.000000Z", 2)
    rows = delta.read(lake, TRIGGER_DELIVERIES).orderBy("channel", "number").collect()
    assert [f"{row['channel']} {row['number']}" for row in rows] == ["kafka 2", "kafka 4", "webhook 2", "webhook 4"]
