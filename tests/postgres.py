"""A PostgreSQL server of a test run's own: a fresh cluster in a temporary folder, reached through a Unix socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# Root may not run PostgreSQL; the package brings the first user, every system has the second.
USERS = ("postgres", "nobody")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A cluster in a folder; it listens on loopback as well where it has a port, and asks for passwords there."""

    folder: Path
    prefix: tuple[str, ...]
    port: int | None

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its database, for its owner."""
        return f"postgresql+psycopg://ledger@/postgres?host={self.folder}" + (f"&port={self.port}" if self.port else "")

    def start(self) -> None:
        """Listen; returns when it answers."""
        listening = f"-c listen_addresses=127.0.0.1 -p {self.port}" if self.port else "-c listen_addresses=''"
        options = f"-k {self.folder} {listening} -c fsync=off"
        self._control("-l", str(self.folder / "log"), "-o", options, "-w", "start")

    def stop(self) -> None:
        """End at once, as a crash would, with every connection."""
        self._control("-m", "immediate", "-w", "stop")

    def _control(self, *arguments: str) -> None:
        run([*self.prefix, _tool("pg_ctl"), "-D", str(self.folder / "data"), *arguments], self.folder)


@contextmanager
def running_postgres() -> Iterator[str]:
    """The SQLAlchemy URL of an empty database; the server and its files are gone afterwards."""
    with postgres_server() as server:
        yield server.url


@contextmanager
def postgres_server(port: int | None = None) -> Iterator[PostgresServer]:
    """A server that runs, with an empty database; it and its files are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="databank-pg-"))
    server = PostgresServer(folder, as_other_user(folder, USERS), port)
    try:
        access = ["--auth-local=trust", "--auth-host=scram-sha-256"]
        options = ["-D", str(folder / "data"), "-U", "ledger", *access, "-E", "UTF8", "--no-sync"]
        run([*server.prefix, _tool("initdb"), *options], folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def as_other_user(folder: Path, users: Sequence[str]) -> tuple[str, ...]:
    """How root starts a program as the first of these users that there is, to whom the folder belongs from now on."""
    if os.geteuid() != 0:
        return ()
    for user in users:
        if subprocess.run(["id", "-u", user], capture_output=True).returncode == 0:
            shutil.chown(folder, user)
            return ("runuser", "-u", user, "--")
    raise RuntimeError(f"found none of the users {users}, wanted one that may run a database")


def _tool(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    if found is None:
        raise RuntimeError(f"PostgreSQL's {name} was not found; install the package postgresql")
    return found


def run(command: Sequence[str], folder: Path, *, given: bytes = b"") -> None:
    """Run a program of a database in its folder with this input; RuntimeError has the end of what it said."""
    done = subprocess.run(command, cwd=folder, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").strip()[-500:]
        raise RuntimeError(f"`{' '.join(command)}` ended with {done.returncode}: {said}")
