"""What the stream has not taken in yet, by what Spark writes of its offsets; what systemd is told."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from spark_jobs.ingest import backlog, systemd

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


def test_systemd_is_told_where_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.tell(systemd.RUNNING)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.tell(systemd.RUNNING)
        assert listening.recv(100) == b"STATUS=the stream runs"
