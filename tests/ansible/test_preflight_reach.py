"""A new host listens on its future ports for seconds, the others try them, and nothing of it stays."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ansible.loading import ANSIBLE, load

SCRIPT = ANSIBLE / "roles" / "preflight" / "files" / "reach.py"
HERE = "127.0.0.1"
reach = load("preflight/files/reach.py")


def free_port() -> int:
    with socket.create_server((HERE, 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture
def request_of_host(tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What a new host is asked; its listener is ended in the end."""
    ports = [{"name": "service", "port": free_port()}, {"name": "time", "port": free_port(), "protocol": "udp"}]
    listener = {"listener": f"databank-test-{os.getpid()}", "seconds": 30, "programs": str(tmp_path / "databank")}
    asked = {**listener, "address": HERE, "ports": ports}
    yield asked
    run("end", asked)


def run(verb: str, asked: dict[str, Any]) -> list[list[Any]]:
    """As on a host: from standard input, and the output ends although a listener lives on."""
    command = [sys.executable, "-I", "-", json.dumps({"do": verb, **asked})]
    answer = subprocess.run(command, input=SCRIPT.read_text(), capture_output=True, text=True, check=True, timeout=20)
    printed: list[list[Any]] = json.loads(answer.stdout)
    return printed


def test_a_new_host_listens_until_it_is_told_to_end(request_of_host: dict[str, Any]) -> None:
    port = request_of_host["ports"][0]["port"]
    assert run("listen", request_of_host) == [[port, True, True]]
    assert reach.connect(HERE, port) == ""
    assert run("listen", request_of_host) == [[port, True, True]], (
        "a second run takes the place of one that was interrupted"
    )
    assert run("end", request_of_host) == []
    assert reach.connect(HERE, port) == "refused"
    with socket.socket() as service:  # without SO_REUSEADDR: no connection lingers on the port
        service.bind((HERE, port))


def test_a_listener_that_nobody_ends_ends_by_itself(request_of_host: dict[str, Any]) -> None:
    assert run("listen", {**request_of_host, "seconds": 0.5}) != []
    time.sleep(1)
    assert reach.connect(HERE, request_of_host["ports"][0]["port"]) == "refused"


def test_an_installed_host_needs_its_ports_itself(request_of_host: dict[str, Any]) -> None:
    port = request_of_host["ports"][0]["port"]
    Path(request_of_host["programs"]).mkdir()
    assert run("listen", request_of_host) == [[port, True, False]]
    with socket.create_server((HERE, port)):
        assert run("listen", request_of_host) == [[port, True, True]]


def test_of_a_range_the_ends_are_tried(request_of_host: dict[str, Any]) -> None:
    Path(request_of_host["programs"]).mkdir()
    asked = {**request_of_host, "ports": [{"name": "jobs", "port": 7100, "last": 7131}]}
    assert [door[:2] for door in run("listen", asked)] == [[7100, False], [7131, False]]


def tried(*doors: tuple[int, bool, bool]) -> tuple[str, str]:
    """Result and what was found on the way to one host with these doors: port, steady, open."""
    (row,) = reach.reach({"peers": [{"host": "h2", "address": HERE, "doors": doors}]})
    return row["result"], row["found"]


def test_a_host_that_answers_everywhere_passes() -> None:
    with socket.create_server((HERE, 0)) as one:
        assert tried((one.getsockname()[1], True, True)) == ("Pass", "1 hosts on 1 ports")


def test_a_refusal_counts_where_something_listens() -> None:
    port = free_port()
    assert tried((port, True, True)) == ("Fail", f"h2: {port} refused")
    assert tried((port, True, False)) == ("Warn", f"h2: {port} refused")


def test_ports_of_jobs_may_be_idle() -> None:
    port = free_port()
    assert tried((port, False, False)) == ("Pass", "1 hosts on 1 ports")
    assert tried((port, False, True)) == ("Fail", f"h2: {port} refused")


def test_silence_is_a_firewall(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(address: tuple[str, int], timeout: float) -> socket.socket:
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", never)
    assert tried((9092, True, False), (7100, False, False)) == ("Fail", "h2: 9092, 7100 timed out")
