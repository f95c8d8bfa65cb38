"""A MariaDB server of a test run's own: a fresh data folder, reached through a Unix socket and on loopback."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.postgres import as_other_user, run

# The package of the service brings the first user, every system has the second.
USERS = ("mysql", "nobody")
START_S = 60.0
SCRIPTS = Path("/usr/share/mysql")
SYSTEM_TABLES = ("mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql")


@dataclass(slots=True)
class MariaDbServer:
    """A data folder, and the server over it while it runs."""

    folder: Path
    prefix: tuple[str, ...]
    port: int
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its database `test`, for its owner."""
        return f"mysql+pymysql://root@localhost/test?unix_socket={self._socket}&charset=utf8mb4"

    @property
    def _socket(self) -> Path:
        return self.folder / "socket"

    @property
    def _program(self) -> list[str]:
        small = ["--innodb-buffer-pool-size=64M", "--innodb-flush-log-at-trx-commit=2", "--skip-log-bin"]
        return [*self.prefix, _tool("mariadbd"), "--no-defaults", f"--datadir={self.folder / 'data'}", *small]

    def create(self) -> None:
        """Make the system's tables; the package's own script for it needs the client's package as well."""
        run([*self.prefix, "mkdir", str(self.folder / "data")], self.folder)
        tables = b"".join((SCRIPTS / name).read_bytes() for name in SYSTEM_TABLES)
        begin = ("CREATE DATABASE mysql;", "CREATE DATABASE test;", "USE mysql;", "SET @auth_root_socket = NULL;")
        run([*self._program, "--bootstrap"], self.folder, given="\n".join((*begin, "")).encode() + tables)

    def start(self) -> None:
        """Listen; returns when it answers."""
        listening = [f"--socket={self._socket}", "--bind-address=127.0.0.1", f"--port={self.port}"]
        command = [*self._program, *listening, f"--log-error={self.folder / 'log'}"]
        # What it warns of is in its log.
        self.process = subprocess.Popen(
            command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + START_S
        while not self._socket.exists():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"MariaDB does not start: {(self.folder / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End at once, with every connection."""
        if self.process is None:
            return
        pid = int(next((self.folder / "data").glob("*.pid")).read_text())
        subprocess.run(["kill", "-KILL", str(pid)], check=True)
        self.process.wait()
        self._socket.unlink(missing_ok=True)
        self.process = None


@contextmanager
def mariadb_server(port: int) -> Iterator[MariaDbServer]:
    """A server that runs, with an empty database `test`; it and its files are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="databank-mariadb-"))
    server = MariaDbServer(folder, as_other_user(folder, USERS), port)
    try:
        server.create()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tool(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if found is None:
        raise RuntimeError(f"MariaDB's {name} was not found; install the package mariadb-server-core")
    return found
