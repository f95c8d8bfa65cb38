"""The server as a process of its own: two processes on one port, a load beside it, its log, its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from services.embedded.ports import free_ports
from services.setup import paths
from spark_jobs.settings import SETTINGS_VARIABLE
from tests.profile_hammer import PERSONS, publish_number
from tests.profile_lake import WORKSPACE, phone
from tests.profile_service import bearer, place
from tests.profile_settings import write_settings

REQUESTS = 60


@contextmanager
def serving(settings: Path, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, SETTINGS_VARIABLE: str(settings)}
    command = [sys.executable, "-m", "services", "profiles", "serve", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=paths.REPO, env=environment, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.kill()
            process.wait(20)


def answer(url: str, key: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, headers=bearer(key) if key else {})
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until_ready(url: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            if answer(f"{url}/readyz")[0] == 200:
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
