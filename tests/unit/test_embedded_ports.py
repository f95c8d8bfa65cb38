"""Which ports a stack takes: never one port for two programs."""

from __future__ import annotations

import socket
from pathlib import Path
from unittest.mock import Mock

import pytest

from services.embedded import layout, state
from services.embedded.ports import LOOPBACK, free_ports, pick
from services.embedded.stack import EmbeddedStack
from spark_jobs.errors import TerminalError


@pytest.fixture
def port() -> int:
    return free_ports(1)[0]


def test_the_port_asked_for_goes_before_the_remembered_one(port: int) -> None:
    other = free_ports(1)[0]
    assert pick(port, other, program="Trino", others={}) == port
    assert pick(None, port, program="Trino", others={}) == port


def test_a_port_in_use_is_refused_where_asked_and_passed_over_where_remembered() -> None:
    with socket.create_server((LOOPBACK, 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(TerminalError, match=f"Trino cannot listen on {LOOPBACK}:{taken}: the port is in use"):
            pick(taken, None, program="Trino", others={})
        assert pick(None, taken, program="Trino", others={}) != taken


@pytest.mark.parametrize(
    ("asked", "last"),
    [
        pytest.param(("kafka", "trino"), (), id="both asked"),
        pytest.param(("kafka",), ("trino",), id="Kafka asked, Trino remembered"),
        pytest.param(("trino",), ("kafka",), id="Trino asked, Kafka remembered"),
    ],
)
def test_one_port_for_both_is_refused(port: int, asked, last, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "last_ports", Mock(return_value=state.Ports(**dict.fromkeys(last, port))))
    stack = EmbeddedStack(Path("/data"), ports=state.Ports(**dict.fromkeys(asked, port)))
    stack.layout = layout.Layout(Path("/data"))
    with pytest.raises(TerminalError, match=rf"Trino and Kafka cannot both listen on .*:{port} .*--kafka-port"):
        stack._choose_ports()


def test_free_ports_of_two_programs_differ(port: int) -> None:
    assert pick(None, None, program="Trino", others={"Kafka": port}) != port


def test_no_room_makes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", Mock(return_value=Mock(free=0)))
    with pytest.raises(TerminalError, match=r"no room for the embedded stack in .*data: found 0\.0 GB free"):
        layout.prepare(tmp_path / "below" / "data")
    assert list(tmp_path.iterdir()) == []
