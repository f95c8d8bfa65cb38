"""The store in PostgreSQL."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from queue import Empty, LifoQueue
from typing import Any, TypeVar

import psycopg
import pyarrow as pa
from psycopg.conninfo import make_conninfo
from sqlalchemy.engine import URL

from services.profiles import copying
from services.profiles.database import GoneError, Row, Value
from spark_jobs.errors import RetryableError, TerminalError

WAIT_S = 5.0
# A request that waits longer is over; no reader can be in a generation that was retired long before.
STATEMENT_TIMEOUT_MS = 5_000
_WITHOUT_END = "SET LOCAL statement_timeout = 0"  # loading takes as long as it takes
_CONNECT_S = 5
_AGAIN_S = 0.2
_SORTING_MB = 256

Connection = psycopg.Connection[tuple[Value, ...]]
Answer = TypeVar("Answer")


class PostgresDatabase:
    """A pool of connections; a thread keeps one to itself while a transaction of it is open."""

    blocks = True
    bytes_type = "BYTEA"
    number_key = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"

    def __init__(self, url: URL, *, connections: int, patience_s: float = 0.0) -> None:
        """Connect when first asked; the password comes from the URL or from libpq's own files and variables.

        patience_s: for so long what is only asked is asked again where the server is away, as while it restarts.
        """
        self._patience_s = patience_s
        given = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
        options: dict[str, Any] = {**given, "dbname": url.database, **url.query}
        self._address = make_conninfo("", **{name: value for name, value in options.items() if value is not None})
        self._slots = threading.BoundedSemaphore(connections)
        self._idle: LifoQueue[Connection] = LifoQueue()
        self._local = threading.local()

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """See Database. What is only asked is asked again where the connection died: once, or with patience."""
        return self._asked(lambda one: one.execute(_own(sql), values, prepare=True).fetchall(), again=True)

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """See Database."""
        return self._asked(lambda one: one.execute(_own(sql), values).rowcount, again=False)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See Database."""
        with self._errors(), self._lent() as connection:
            self._local.held = connection
            try:
                with connection.transaction():
                    connection.execute(_WITHOUT_END)
                    yield
            finally:
                self._local.held = None

    def bulk(self, table: str, batches: Iterable[pa.RecordBatch]) -> int:
        """See Database."""
        waiting = iter(batches)
        first = next(waiting, None)
        if first is None:
            return 0
        count, columns = 0, ", ".join(first.schema.names)
        # On a connection of its own: whoever makes the batches may ask the store meanwhile.
        with self._errors(), self._lent() as connection, connection.transaction():
            connection.execute(_WITHOUT_END)
            with connection.cursor().copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)") as copy:
                copy.write(copying.HEADER)
                for batch in chain([first], waiting):
                    copy.write(copying.encoded(batch))
                    count += batch.num_rows
                copy.write(copying.TRAILER)
        return count

    def create(self, table: str, columns: str) -> None:
        """See Database."""
        self.run(f"CREATE TABLE {table} ({columns})")

    def index(self, table: str, key: str) -> None:
        """See Database. Sorted at once it is built faster, and denser, than row by row."""
        with self.transaction():
            self.run(f"SET LOCAL maintenance_work_mem = '{_SORTING_MB}MB'")
            self.run(f"ALTER TABLE {table} ADD PRIMARY KEY ({key})")
            self.run(f"ANALYZE {table}")

    @contextmanager
    def exclusive(self, name: str) -> Iterator[None]:
        """See Database. The lock belongs to a connection of its own, and ends with it."""
        number = int.from_bytes(hashlib.sha256(f"databank/{name}".encode()).digest()[:8], signed=True)
        with self._errors(), self._connected() as connection:
            found = connection.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone()
            if not found or not found[0]:
                raise RetryableError(f"another {name} of this store is under way; try again when it has ended")
            yield

    def close(self) -> None:
        """See Database."""
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    def _asked(self, act: Callable[[Connection], Answer], *, again: bool) -> Answer:
        held: Connection | None = getattr(self._local, "held", None)
        until, tries = time.monotonic() + self._patience_s, 0
        with self._errors():
            if held is not None:
                return act(held)
            while True:
                tries += 1
                try:
                    with self._lent() as connection:
                        return act(connection)
                except psycopg.OperationalError as error:
                    # A statement that took too long would take as long again: no patience with it.
                    is_over = isinstance(error, psycopg.errors.QueryCanceled) or time.monotonic() >= until
                    if not again or (is_over and tries > 1):
                        raise
                if tries > 1:
                    time.sleep(_AGAIN_S)

    @contextmanager
    def _lent(self) -> Iterator[Connection]:
        if not self._slots.acquire(timeout=WAIT_S):
            raise RetryableError("all connections to the store are busy; try again")
        try:
            connection = self._taken()
            try:
                yield connection
            finally:
                if connection.closed or connection.broken:
                    connection.close()
                    self.close()  # the server went: those that wait are dead as well
                else:
                    self._idle.put(connection)
        finally:
            self._slots.release()

    def _taken(self) -> Connection:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._connected()

    def _connected(self) -> Connection:
        options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"
        return psycopg.connect(self._address, autocommit=True, connect_timeout=_CONNECT_S, options=options)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.UndefinedTable as error:
            raise GoneError("a table of the store is not there") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise RetryableError(f"the store does not answer: {_first_line(error)}") from error
        except psycopg.Error as error:
            raise TerminalError(f"the store refused: {_first_line(error)}") from error


def _first_line(error: psycopg.Error) -> str:
    """What went wrong without the row that it went wrong with, which stands behind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@lru_cache(maxsize=512)
def _own(sql: str) -> str:
    return sql.replace("?", "%s")
