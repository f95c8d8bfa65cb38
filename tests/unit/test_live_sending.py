"""Producing against a stand-in for the Kafka client: acknowledgements, failures, rate and stop."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from services.demo import live_sending
from services.demo.live import main, produce
from spark_jobs import settings
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import RetryableError, TerminalError


class Acknowledged:
    """A future that is done already."""

    def __init__(self, failure: Exception | None) -> None:
        self.failure = failure

    def add_callback(self, call: Callable[[object], None]) -> None:
        if self.failure is None:
            call(None)

    def add_errback(self, call: Callable[[Exception], None]) -> None:
        if self.failure is not None:
            call(self.failure)


class Client:
    """Keeps what it is given; fails the messages whose number `failing` holds."""

    failing: frozenset[int] = frozenset()
    made: list[Client]

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.messages: list[tuple[str, bytes, bytes | None]] = []
        self.is_closed = False
        Client.made.append(self)

    def send(self, topic: str, *, value: bytes, key: bytes | None) -> Acknowledged:
        if len(value) > self.options["max_request_size"]:
            raise MessageSizeTooLargeError
        self.messages.append((topic, value, key))
        return Acknowledged(KafkaTimeoutError("late") if len(self.messages) in self.failing else None)

    def flush(self, timeout: float) -> None:
        pass

    def close(self, timeout: float) -> None:
        self.is_closed = True


@pytest.fixture
def client(monkeypatch) -> type[Client]:
    monkeypatch.setattr(Client, "made", [], raising=False)
    monkeypatch.setattr(Client, "failing", frozenset())
    monkeypatch.setattr(live_sending, "KafkaProducer", Client)
    return Client


@pytest.fixture
def installed(tmp_path: Path, key_file: Path) -> settings.Settings:
    path = tmp_path / "settings.toml"
    path.write_text(
        f'storage.root = "{tmp_path}"\nkafka.bootstrap_servers = "127.0.0.1:1,127.0.0.1:2"\n'
        f'ledger.url = "sqlite://"\ntrino.url = "http://127.0.0.1:3"\nkeys.root_key_file = "{key_file}"\n'
        'spark = {master = "local[1]", driver_memory_mb = 512, local_dir = "/tmp", jars = []}\n'
        'workspace.grocery = {zone = "America/New_York", history_complete_since = 2017-01-01}\n'
    )
    return settings.load(path)


def events_file(tmp_path: Path, count: int) -> Path:
    path = tmp_path / "events.jsonl"
    identifier = {"type": "phone", "scope": "", "value": "+8616312345678"}
    lines = [
        json.dumps({"event_id": str(n), "workspace_id": "grocery", "identifiers": [identifier]}) for n in range(count)
    ]
    path.write_text("\n".join([*lines, "<html>"]) + "\n")
    return path


def test_every_line_is_sent_in_order_and_acknowledged(client, installed, tmp_path: Path) -> None:
    seen: list[int] = []
    produced = produce(events_file(tmp_path, 450), installed, progress=seen.append)
    assert (produced.sent, produced.unparsed, produced.stopped) == (451, 1, False)
    assert seen == [200, 400, 451]
    made = client.made[0]
    assert made.is_closed
    assert made.options["acks"] == "all"
    assert made.options["bootstrap_servers"] == ["127.0.0.1:1", "127.0.0.1:2"]
    assert {topic for topic, _, _ in made.messages} == {EVENTS_TOPIC.name}
    assert [json.loads(value)["event_id"] for _, value, _ in made.messages[:-1]] == [str(n) for n in range(450)]
    assert made.messages[-1][1:] == (b"<html>", None)
    assert not any(b"16312345678" in value for _, value, _ in made.messages)


@pytest.mark.parametrize("number", [pytest.param(3, id="in the middle"), pytest.param(11, id="the last one")])
def test_a_message_that_the_broker_refuses_is_not_forgotten(client, installed, tmp_path: Path, number: int) -> None:
    client.failing = frozenset({number})
    with pytest.raises(RetryableError, match=rf"KafkaTimeoutError.*{number - 1} of {number} messages are acknowledged"):
        produce(events_file(tmp_path, 10), installed)
    assert client.made[0].is_closed


def test_no_broker_is_worth_another_try(installed, tmp_path: Path, monkeypatch) -> None:
    def refuse(**_options: object) -> None:
        raise KafkaTimeoutError("Unable to bootstrap")

    monkeypatch.setattr(live_sending, "KafkaProducer", refuse)
    with pytest.raises(RetryableError, match=r"127\.0\.0\.1:1.*Unable to bootstrap"):
        produce(events_file(tmp_path, 10), installed)


def test_a_message_that_no_broker_would_take_is_not_worth_another_try(client, installed, tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"x" * (EVENTS_TOPIC.max_message_bytes + 1))
    with pytest.raises(TerminalError, match="message 1 has 1048577 bytes"):
        produce(path, installed)


def test_a_missing_file_is_named(client, installed, tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"nowhere\.jsonl cannot be read: No such file"):
        produce(tmp_path / "nowhere.jsonl", installed)
    assert not client.made  # nobody was called before the input was there


def test_a_rate_is_kept(client, installed, tmp_path: Path) -> None:
    began = time.monotonic()
    produce(events_file(tmp_path, 99), installed, rate_per_s=400)
    assert 0.2 < time.monotonic() - began < 2


def test_stop_ends_early_with_everything_acknowledged(client, installed, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    produced = produce(events_file(tmp_path, 900), installed, rate_per_s=50, stop=stop)
    assert produced.stopped
    assert produced.sent == len(client.made[0].messages) == 5


def test_the_command_prints_what_was_done(client, installed, tmp_path: Path, capsys) -> None:
    arguments = ["--settings", str(tmp_path / "settings.toml"), "--input", str(events_file(tmp_path, 3))]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["sent"] == 4
    assert main([*arguments, "--rate", "3"]) == 0
    assert "messages acknowledged" in capsys.readouterr().err
    assert main([*arguments, "--rate", "0"]) == 1
    assert "wanted more than 0" in capsys.readouterr().err
