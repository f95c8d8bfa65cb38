"""A PostgreSQL server of a test run's own: a fresh cluster in a temporary folder, reached through a Unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Root may not run PostgreSQL; the package brings the first user, every system has the second.
USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs; `url` is the SQLAlchemy URL of an empty database."""

    url: str
    folder: Path
    control: tuple[str, ...]

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        _run([*self.control, "-m", "immediate", "-w", "stop"], self.folder)

    def start(self) -> None:
        """Start it again with what it has."""
        options = f"-k {self.folder} -c listen_addresses='' -c fsync=off"
        _run([*self.control, "-l", str(self.folder / "log"), "-o", options, "-w", "start"], self.folder)


@contextmanager
def running_postgres() -> Iterator[Server]:
    """A server with an empty database; it and its files are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="databank-pg-"))
    prefix = _as_other_user(folder)
    data = str(folder / "data")
    server = Server(
        f"postgresql+psycopg://ledger@/postgres?host={folder}",
        folder,
        (*prefix, _tool("pg_ctl"), "-D", data),
    )
    try:
        _run([*prefix, _tool("initdb"), "-D", data, "-U", "ledger", "--auth=trust", "-E", "UTF8", "--no-sync"], folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_other_user(folder: Path) -> list[str]:
    if os.geteuid() != 0:
        return []
    for user in USERS:
        if subprocess.run(["id", "-u", user], capture_output=True).returncode == 0:
            shutil.chown(folder, user)
            return ["runuser", "-u", user, "--"]
    raise RuntimeError(f"found none of the users {USERS}, wanted one that may run PostgreSQL")


def _tool(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    if found is None:
        raise RuntimeError(f"PostgreSQL's {name} was not found; install the package postgresql")
    return found


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{command[-1]} of PostgreSQL ended with {done.returncode}: {done.stdout.strip()[-500:]}")
