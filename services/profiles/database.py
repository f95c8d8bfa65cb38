"""The one interface to the store: PostgreSQL on a cluster, SQLite where the stack is embedded.

Both speak the SQL of this package, with `?` for a value. What differs stands in `sqlite_database` and
`postgres_database`: types, bulk loading, locks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pyarrow as pa
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from spark_jobs.errors import RetryableError, TerminalError

Value = bytes | str | int | float | None
Row = tuple[Value, ...]


class GoneError(RetryableError):
    """A table is not there (any more): who asks again, from the pointer on, finds the newer one."""


class Database(Protocol):
    """An open store; safe to share between threads, each of which has a connection while it asks.

    `blocks`: true where an answer is waited for on a network, so that an event loop must not ask by itself.
    """

    blocks: bool
    bytes_type: str
    number_key: str

    def rows(self, sql: str, values: Sequence[Value] = ()) -> list[Row]:
        """All rows of one statement; GoneError where its table is not there, RetryableError where the store is not."""

    def run(self, sql: str, values: Sequence[Value] = ()) -> int:
        """Do one statement, in the open transaction of this thread or in one of its own; how many rows it changed."""

    def transaction(self) -> AbstractContextManager[None]:
        """What this thread does in the block is done whole or not at all."""

    def bulk(self, table: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Append rows, by the names of their columns, as fast as the store can; how many they were.

        What has been appended may stay where this is interrupted: the table must be one that nobody reads yet.
        """

    def create(self, table: str, columns: str) -> None:
        """Create a table to be filled in bulk; its key comes with `index`."""

    def index(self, table: str, key: str) -> None:
        """Make `key` the primary key of a table that has been filled."""

    def exclusive(self, name: str) -> AbstractContextManager[None]:
        """Hold a lock that ends with this process; RetryableError where another one holds it."""

    def close(self) -> None:
        """Close all connections."""


def open_database(url: str, *, connections: int = 8, patience_s: float = 0.0) -> Database:
    """The store of a URL such as `sqlite:////data/profiles.sqlite` or `postgresql+psycopg://user@host/profiles`.

    patience_s: for so long a question waits for a PostgreSQL that is away.
    TerminalError where the URL is of another kind.
    """
    from services.profiles.postgres_database import PostgresDatabase  # noqa: PLC0415 - not both drivers are wanted
    from services.profiles.sqlite_database import SqliteDatabase  # noqa: PLC0415

    try:
        parsed = make_url(url)
    except ArgumentError:
        raise TerminalError("[profiles] url is no URL of a database; wanted sqlite:///... or postgresql+...") from None
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database:
        return SqliteDatabase(parsed.database)
    if kind == "postgresql":
        return PostgresDatabase(parsed, connections=connections, patience_s=patience_s)
    raise TerminalError(f"[profiles] url begins with {kind!r}; wanted sqlite:///FILE or postgresql+psycopg://...")
