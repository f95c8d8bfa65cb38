"""Triggers are posted at least once, each always with one key; a receiver that is away holds no topic up."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spark_jobs.contracts.core import EVENTS, ORDERS
from spark_jobs.contracts.triggers import TRIGGER_DELIVERIES
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import Settings, TriggerSettings
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.triggers import posting, send_job
from spark_jobs.triggers.definitions import HOUR
from tests.spark.test_triggers import AT, MINUTE, NOBODY, decide, people
from tests.tag_tables import add, settings_of
from tests.trigger_rows import CART, cart_event, write_triggers
from tests.unit.test_trigger_posting import SECRET, Receiver, receiver

__all__ = ["receiver"]  # a fixture

PERSONS = range(6)


def arguments(folder: Path) -> argparse.Namespace:
    return argparse.Namespace(workspace="grocery", triggers=folder, at=(AT + MINUTE).isoformat())


def send(lake: Lake, settings: Settings, folder: Path) -> dict[str, Any]:
    return dict(send_job.run(lake.spark, settings, arguments(folder)))


def test_a_receiver_gets_every_trigger_with_the_key_that_it_had(
    lake: Lake, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_job, "send_all", lambda rows, *_, **__: rows.count())
    monkeypatch.setattr(send_job, "poster", lambda hook: posting.poster(replace(hook, pauses_s=())))
    (tmp_path / "key").write_bytes(SECRET)
    folder = write_triggers(tmp_path / "t", {**CART, **NOBODY, "webhook": True})
    settings = replace(settings_of(lake), triggers=TriggerSettings(receiver.url, tmp_path / "key"))
    with pytest.raises(TerminalError, match="have a webhook, and the settings no"):
        send_job.preflight(settings_of(lake), arguments(folder))
    send_job.preflight(settings, arguments(folder))

    people(lake, *PERSONS)
    add(lake, EVENTS, [cart_event(person, f"购物车 {person}", AT - 25 * HOUR) for person in PERSONS])
    add(lake, ORDERS, [])
    decide(lake, folder, AT)
    receiver.answers = [500] * 100
    with pytest.raises(RetryableError, match=r"did not take 6 of the triggers of run 2 \(status 500\)"):
        send(lake, settings, folder)
    assert [row["channel"] for row in delta.read(lake, TRIGGER_DELIVERIES).collect()] == ["kafka"]
    receiver.answers = [404]
    facts = send(lake, settings, folder)
    assert (facts["claimed"], facts["messages"]) == (0, 0)
    assert (facts["posted"], facts["refused"]) == (5, 1)
    assert {json.loads(body)["object_id"] for _, _, body in receiver.posted} == {f"cart/购物车 {n}" for n in PERSONS}
    assert len(set(receiver.posted)) == len(PERSONS) < len(receiver.posted), "repeated, with the same key and body"
    assert send(lake, settings, folder)["posted"] == 0
