"""Servers and loads as processes of their own, as an operator starts them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.profiles.rows import WORKSPACE
from spark_jobs.settings import SETTINGS_VARIABLE

_REPO = Path(__file__).resolve().parents[2]
_START_S = 60.0
_SETTINGS = """
[storage]
root = "{folder}/lake"
[kafka]
bootstrap_servers = "127.0.0.1:9"
[ledger]
url = "sqlite:///{folder}/ledger.sqlite"
[trino]
url = "http://127.0.0.1:9"
[keys]
root_key_file = "{folder}/keys/root.json"
[spark]
master = "local[1]"
driver_memory_mb = 512
local_dir = "{folder}/scratch"
jars = []
[profiles]
url = "{url}"
address = "127.0.0.1:{port}"
refusal_tag = ""
[workspace.{workspace}]
zone = "UTC"
history_complete_since = 2026-01-01
"""


@dataclass(frozen=True, slots=True)
class Site:
    """One installation of the bench: a folder, a store, a port."""

    folder: Path
    url: str
    port: int

    @property
    def settings(self) -> Path:
        """Its settings file."""
        return self.folder / f"settings-{self.port}.toml"

    def write(self) -> None:
        """Write the settings."""
        text = _SETTINGS.format(folder=self.folder, url=self.url, port=self.port, workspace=WORKSPACE)
        self.settings.write_text(text, encoding="utf-8")

    def load(self) -> dict[str, Any]:
        """Load what is published; its facts."""
        return self.profiles("load", "--workspace", WORKSPACE, "--memory-mb", "1024")

    def profiles(self, *arguments: str) -> dict[str, Any]:
        """The facts of one verb."""
        command = [sys.executable, "-m", "services", "profiles", *arguments, "--json", "--settings", str(self.settings)]
        done = subprocess.run(command, cwd=_REPO, check=True, stdout=subprocess.PIPE)
        facts: dict[str, Any] = json.loads(done.stdout)
        return facts

    @contextmanager
    def serving(self, processes: int) -> Iterator[None]:
        """The API, in so many processes."""
        with served(["services", "profiles", "serve", "--processes", str(processes)], self.port, self.settings):
            yield


@contextmanager
def served(module: Sequence[str], port: int, settings: Path) -> Iterator[None]:
    """A server until the block ends; it answers when the block begins."""
    environment, silent = {**os.environ, SETTINGS_VARIABLE: str(settings)}, subprocess.DEVNULL
    command = [sys.executable, "-m", *module]
    with subprocess.Popen(command, cwd=_REPO, env=environment, stdout=silent, stderr=silent) as process:
        try:
            _wait(port)
            yield
        finally:
            process.terminate()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait(port: int) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port} after {_START_S:.0f} s")


def asking(port: int, *arguments: str) -> subprocess.Popen[str]:
    """A load generator that has begun."""
    command = [sys.executable, "-m", "bench.profiles.asking", "--port", str(port), *arguments]
    return subprocess.Popen(command, cwd=_REPO, stdout=subprocess.PIPE, text=True)


def asked(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a load generator saw, once it has ended."""
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    found: dict[str, Any] = json.loads(output)
    return found
