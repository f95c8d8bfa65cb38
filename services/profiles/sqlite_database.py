"""The store in one SQLite file (WAL): readers never wait for the loader, nor the loader for readers."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from services.profiles.database import GoneError, Row, Value
from spark_jobs.errors import RetryableError, TerminalError

BUSY_TIMEOUT_S = 30
# Of rows in one transaction: others that write, such as a refusal, wait no longer than for these.
ROWS_A_COMMIT = 50_000
_CACHE_KB = 64 * 1024
_MAPPED_BYTES = 8 * 1024**3


class SqliteDatabase:
    """One file; a connection for each thread."""

    blocks = False
    bytes_type = "BLOB"
    number_key = "INTEGER PRIMARY KEY AUTOINCREMENT"

    def __init__(self, path: str) -> None:
        """Open it, and make it where it is not there, readable by its owner alone."""
        self._path = Path(path)
        self._local = threading.local()
        self._all: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise TerminalError(f"the store {path} cannot be opened: {error.strerror}; check [profiles] url") from error

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """See Database."""
        try:
            return self._connection().execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise _meaning(error) from error

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """See Database."""
        try:
            return self._connection().execute(sql, values).rowcount
        except sqlite3.Error as error:
            raise _meaning(error) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See Database. It takes the right to write at once: two that read first could not both go on."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            if self._connection().in_transaction:
                self.run("ROLLBACK")
            raise

    def bulk(self, table: str, batches: Iterable[pa.RecordBatch]) -> int:
        """See Database."""
        count = 0
        for batch in batches:
            marks = ", ".join("?" for _ in batch.schema.names)
            sql = f"INSERT INTO {table} ({', '.join(batch.schema.names)}) VALUES ({marks})"
            for start in range(0, batch.num_rows, ROWS_A_COMMIT):
                part = batch.slice(start, ROWS_A_COMMIT)
                with self.transaction():
                    self._connection().executemany(sql, zip(*(c.to_pylist() for c in part.columns), strict=True))
            count += batch.num_rows
        return count

    def create(self, table: str, columns: str) -> None:
        """See Database. The key is there from the beginning: rows that come in its order are appended to its tree."""
        name, rest = columns.split(" ", 1)
        kind, _, others = rest.partition(",")
        is_number = kind == "BIGINT"
        tail = "" if is_number else " WITHOUT ROWID"
        key = f"{name} {'INTEGER' if is_number else kind} PRIMARY KEY"
        self.run(f"CREATE TABLE {table} ({key}{',' + others if others else ''}){tail}")

    def index(self, table: str, key: str) -> None:
        """See Database: nothing is left to do."""

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """See Database."""
        with self._path.with_name(f"{self._path.name}.{name}").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RetryableError(
                    f"another {name} of this store is under way; try again when it has ended"
                ) from None
            yield

    def close(self) -> None:
        """See Database."""
        with self._guard:
            for connection in self._all:
                connection.close()
            self._all.clear()
        self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if known is not None:
            return known
        # No implicit transactions; one that a thread left behind is closed by `close`, from another thread.
        made = sqlite3.connect(
            self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", f"cache_size = -{_CACHE_KB}"):
            made.execute(f"PRAGMA {pragma}")
        made.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
        with self._guard:
            self._all.append(made)
        self._local.connection = made
        return made


def _meaning(error: sqlite3.Error) -> Exception:
    text = str(error)
    if "no such table" in text:
        return GoneError(f"the store's {text.removeprefix('no such ')} is not there")
    if isinstance(error, sqlite3.OperationalError) and ("locked" in text or "busy" in text):
        return RetryableError("the store is busy; try again")
    return TerminalError(f"the store refused: {text}")
