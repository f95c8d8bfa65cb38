"""The server as a process of its own: two processes on one port, a load beside it, its log, its end, and a port that
systemd holds while it is restarted."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.embedded.ports import free_ports
from services.profiles import access
from services.setup import paths
from services.smoke.doors import Cluster
from services.smoke.profile_door import profiles_answer_keys_alone
from spark_jobs import settings as settings_file
from spark_jobs.errors import TerminalError
from spark_jobs.settings import SETTINGS_VARIABLE
from tests.profile_hammer import PERSONS, publish_number
from tests.profile_lake import WORKSPACE, phone
from tests.profile_service import bearer, place
from tests.profile_settings import write_settings

REQUESTS = 60


# As systemd starts a service whose port it holds: the socket is its descriptor 3, and its own number is in LISTEN_PID.
AS_SYSTEMD = 'exec 3<&{}; export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@"'


@contextmanager
def serving(
    settings: Path, log: Path, *arguments: str, held: socket.socket | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, SETTINGS_VARIABLE: str(settings)}
    command = [sys.executable, "-m", "services", "profiles", "serve", *arguments]
    if held is not None:
        command = ["bash", "-c", AS_SYSTEMD.format(held.fileno()), "bash", *command]
    passed = [] if held is None else [held.fileno()]
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=paths.REPO, env=environment, stdout=output, stderr=output, pass_fds=passed
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait(20)


def answer(url: str, key: str = "", *, timeout: float = 10) -> tuple[int, str]:
    request = urllib.request.Request(url, headers=bearer(key) if key else {})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until_ready(url: str) -> None:
    until_answered(f"{url}/readyz")


def until_answered(url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if answer(url)[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError("it was not ready within a minute")


def test_two_processes_serve_one_port_while_a_snapshot_loads(tmp_path: Path, key_file: Path) -> None:
    (port,) = free_ports(1)
    url, settings, log = f"http://127.0.0.1:{port}", write_settings(tmp_path, key_file, port=port), tmp_path / "log"
    with place(tmp_path, key_file) as here:
        publish_number(here.lake)
        here.load()
        key = here.key()
        with serving(settings, log, "--processes", "2") as server:
            until_ready(url)
            publish_number(here.lake)
            numbers = []
            for number in range(REQUESTS):
                if number == REQUESTS // 2:
                    load = [sys.executable, "-m", "services", "profiles", "load", "--workspace", WORKSPACE, "--json"]
                    subprocess.run(
                        [*load, "--settings", str(settings)], cwd=paths.REPO, check=True, capture_output=True
                    )
                status, text = answer(f"{url}/v1/profiles/phone/{phone(PERSONS[number % len(PERSONS)])}", key)
                body: dict[str, Any] = json.loads(text)
                assert status == 200
                assert {tag["value"] for tag in body["tags"]} == {str(body["publication"])}
                numbers.append(body["publication"])
            assert numbers == [1] * (REQUESTS // 2) + [2] * (REQUESTS // 2)
            assert answer(f"{url}/v1/profiles/phone/{phone(1)}")[0] == 401
            # Whichever process is asked adds up what both of them counted.
            assert f'requests_total{{route="profile",status="200"}} {REQUESTS}' in answer(f"{url}/metrics")[1]
            server.send_signal(signal.SIGTERM)
            assert server.wait(20) in {0, -signal.SIGTERM}
    said = log.read_text()
    assert "139" not in said
    assert key not in said


def test_a_restart_behind_a_port_that_is_held_refuses_nobody(tmp_path: Path, key_file: Path) -> None:
    settings, log = write_settings(tmp_path, key_file), tmp_path / "log"
    stopped, statuses, failures = threading.Event(), list[int](), list[str]()
    with place(tmp_path, key_file) as here, socket.create_server(("127.0.0.1", 0), backlog=128) as held:
        publish_number(here.lake)
        here.load()
        url, key = f"http://127.0.0.1:{held.getsockname()[1]}", here.key()

        def ask() -> None:
            while not stopped.is_set():
                try:
                    statuses.append(answer(f"{url}/v1/profiles/phone/{phone(PERSONS[0])}", key, timeout=60)[0])
                except OSError as error:
                    failures.append(str(error))

        asking = [threading.Thread(target=ask) for _ in range(4)]
        try:
            for begun in range(3):
                with serving(settings, log, "--processes", "2", held=held) as server:
                    until_ready(url)
                    if not begun:
                        for thread in asking:
                            thread.start()
                    enough = len(statuses) + 200
                    until = time.monotonic() + 60
                    while len(statuses) < enough and time.monotonic() < until:
                        time.sleep(0.01)
                    if begun == 2:
                        stopped.set()
                        for thread in asking:
                            thread.join(60)
                    server.send_signal(signal.SIGTERM)
                    assert server.wait(20) in {0, -signal.SIGTERM}
        finally:
            stopped.set()
    assert failures == []
    assert set(statuses) == {200}
    assert len(statuses) >= 600


def test_a_connection_that_has_asked_nothing_may_ask_while_the_server_ends(tmp_path: Path, key_file: Path) -> None:
    (port,) = free_ports(1)
    settings, log = write_settings(tmp_path, key_file, port=port), tmp_path / "log"
    with place(tmp_path, key_file), serving(settings, log) as server:
        until_answered(f"http://127.0.0.1:{port}/healthz")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as early:
            time.sleep(0.3)  # it is let in
            server.send_signal(signal.SIGTERM)
            time.sleep(0.4)  # and the server knows that it shall end
            early.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            said = b""
            while part := early.recv(4096):  # it is closed behind the answer
                said += part
        assert server.wait(20) in {0, -signal.SIGTERM}
    assert said.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in said.lower()


def test_the_smoke_finds_that_keys_alone_open(tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    settings, log, url = write_settings(tmp_path, key_file, port=port), tmp_path / "log", f"http://127.0.0.1:{port}"
    cluster = Cluster("", {}, "", {}, {}, mark="test", profiles={"urls": url})
    with place(tmp_path, key_file) as here, serving(settings, log):
        until_answered(f"{url}/healthz")
        assert "nothing is loaded yet" in profiles_answer_keys_alone(cluster, settings_file.load(settings))
        publish_number(here.lake)
        here.load()
        assert "a snapshot is served" in profiles_answer_keys_alone(cluster, settings_file.load(settings))
        assert access.every_key(here.database) == []
        here.database.run("DROP TABLE pointers")
        monkeypatch.setattr("services.smoke.profile_door._WAIT_S", 4.0)
        with pytest.raises(TerminalError, match="says store-unavailable, wanted not-loaded or unknown-person"):
            profiles_answer_keys_alone(cluster, settings_file.load(settings))
        assert access.every_key(here.database) == []
