"""What the stream has not taken in yet, by what Spark writes of its offsets; what systemd is told."""

from __future__ import annotations

import socket
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from spark_jobs.errors import RetryableError
from spark_jobs.ingest import backlog, systemd
from spark_jobs.settings import Settings

WRITTEN = 'v1\n{"batchWatermarkMs":0,"conf":{}}\n{"databank.events":{"0":12,"3":5},"other":{"0":99}}\n'


def test_the_offsets_that_spark_wrote() -> None:
    assert backlog.taken(WRITTEN, "databank.events") == {0: 12, 3: 5}
    assert backlog.taken(WRITTEN, "unknown") == {}
    assert backlog.taken(None, "databank.events") == {}


def test_what_is_missing_counts_each_partition_for_itself() -> None:
    taken = backlog.taken(WRITTEN, "databank.events")
    assert backlog.missing({0: 12, 3: 5}, taken) == 0
    assert backlog.missing({0: 10, 1: 4, 3: 8}, taken) == 7  # what came later in 0 does not stand for 1 and 3
    assert backlog.missing({}, taken) == 0


def test_a_barrier_is_passed_when_each_partition_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "POLL_S", 0)
    seen = iter([{}, {0: 12}, {0: 11, 3: 5}, {0: 12, 3: 5}, {0: 99, 3: 99}])
    assert backlog.passed({0: 12, 3: 5}, lambda: next(seen), most_s=60) == {0: 12, 3: 5}
    assert next(seen) == {0: 99, 3: 99}  # it was not looked at again


def test_a_stream_that_stands_is_named_with_what_it_lacks() -> None:
    with pytest.raises(RetryableError, match="4 messages behind after 0 s; does it run"):
        backlog.passed({0: 12}, lambda: {0: 8}, most_s=0)


def test_a_topic_that_is_not_there_is_not_taken_for_an_empty_one(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = SimpleNamespace(partitions_for_topic=lambda _: None, end_offsets=lambda _: {}, close=lambda: None)
    monkeypatch.setattr(backlog, "KafkaConsumer", lambda **_: broker)
    settings = cast("Settings", SimpleNamespace(kafka_bootstrap_servers="k:9092", kafka_account=None))
    with pytest.raises(RetryableError, match=r"has no topic databank\.events"):
        backlog.ends(settings, "databank.events")


def test_systemd_is_told_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.tell(systemd.RUNNING)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.tell(systemd.RUNNING)
        assert listening.recv(100) == b"STATUS=the stream runs"
