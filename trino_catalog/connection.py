"""One connection to Trino whose failures say who has to act."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import trino.dbapi
import trino.exceptions
from requests.exceptions import RequestException
from trino.auth import BasicAuthentication

from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import Account

USER = "databank"
_REQUEST_TIMEOUT_S = 30.0
_ATTEMPTS = 3
# A coordinator answers some seconds before its first worker (itself, on one machine) serves the catalogs.
_NO_WORKER_YET = "NO_NODES_AVAILABLE"
_ANNOUNCEMENT_S = 20.0
_PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Answer:
    """What one query gave: names of its columns, and its rows as Python values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def one(self) -> tuple[Any, ...]:
        """The only row."""
        if len(self.rows) != 1:
            raise TerminalError(f"a query that has one row by its nature gave {len(self.rows)}")
        return self.rows[0]


@dataclass(frozen=True, slots=True)
class Trino:
    """An open connection; queries run one after the other."""

    url: str
    connection: Any

    def ask(self, sql: str) -> Answer:
        """Run one statement to its end; a Trino whose workers are just being announced is given time for it."""
        until = time.monotonic() + _ANNOUNCEMENT_S
        while True:
            cursor = self.connection.cursor()
            try:
                rows = cursor.execute(sql).fetchall()
            except trino.exceptions.TrinoUserError as error:
                raise TerminalError(f"Trino refused {_start_of(sql)}: {error.error_name}: {error.message}") from error
            except (trino.exceptions.Error, RequestException) as error:
                # What is asked here reads, or replaces what is there: no statement does harm when it is repeated.
                if getattr(error, "error_name", "") == _NO_WORKER_YET and time.monotonic() < until:
                    time.sleep(_PAUSE_S)
                    continue
                raise RetryableError(f"Trino at {self.url} failed on {_start_of(sql)}: {error}") from error
            return Answer(tuple(column[0] for column in cursor.description or ()), tuple(tuple(row) for row in rows))


@contextlib.contextmanager
def connected(url: str, *, user: str = USER, account: Account | None = None) -> Iterator[Trino]:
    """A connection to `http://host:port` as `user`, or to https as `account`; it is closed at the end."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise TerminalError(f"Trino's address is {url!r}, wanted http://HOST:PORT or https://HOST:PORT")
    session = requests.Session()
    session.trust_env = False  # a proxy or another authority of the environment would come before the account's own
    if account is not None:
        session.verify = str(account.ca_file)
    connection = trino.dbapi.connect(  # type: ignore[no-untyped-call] # it has no types
        host=parts.hostname,
        port=parts.port or (443 if parts.scheme == "https" else 80),
        user=account.user if account else user,
        http_scheme=parts.scheme,
        source="databank",
        request_timeout=_REQUEST_TIMEOUT_S,
        max_attempts=_ATTEMPTS,
        http_session=session,
        auth=BasicAuthentication(account.user, account.password()) if account else None,
    )
    with contextlib.closing(connection):
        yield Trino(url, connection)


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def values(rows: Sequence[Sequence[str]]) -> str:
    """Rows of SQL expressions as a VALUES list."""
    return ", ".join(f"({', '.join(row)})" for row in rows)


def _start_of(sql: str) -> str:
    words = " ".join(line for line in sql.split("\n") if not line.startswith("--")).split()
    text = " ".join(words)
    return f"«{text[:90]}…»" if len(text) > 90 else f"«{text}»"
