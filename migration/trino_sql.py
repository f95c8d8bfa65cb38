"""SQL through Trino: the answers that readers get, and the one statement that switches their view."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trino.dbapi import connect
from trino.exceptions import Error, TrinoQueryError

from spark_jobs.errors import RetryableError, TerminalError

USER = "migration"
_VIEW = re.compile(
    r"CREATE\s+OR\s+REPLACE\s+VIEW\s+(?P<name>\S+)\s.*?\bAS\s+(?P<query>(?:SELECT|WITH)\b.*)", re.IGNORECASE | re.DOTALL
)


class Trino:
    """A connection to a coordinator; statements run one at a time."""

    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - the client ships no types
        """Take an open connection; use `connected`."""
        self._connection = connection

    def rows(self, statement: str) -> list[Sequence[Any]]:
        """All rows of one statement; a statement that returns none gives an empty list."""
        try:
            cursor = self._connection.cursor()
            cursor.execute(statement)
            return list(cursor.fetchall())
        except TrinoQueryError as error:
            raise TerminalError(f"Trino refused `{statement.strip()[:60]}...`: {error.message}") from error
        except (Error, OSError) as error:
            raise RetryableError(
                f"Trino does not answer: {_first_line(error)}; `./databank status` shows it"
            ) from error


@contextmanager
def connected(url: str) -> Iterator[Trino]:
    """Connect to `http://HOST:PORT`; nothing is sent before the first statement."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TerminalError(f"[trino] url is {url!r}, wanted http://HOST:PORT")
    connection = connect(  # type: ignore[no-untyped-call]
        host=parts.hostname, port=parts.port or 8080, user=USER, http_scheme=parts.scheme, source="migration"
    )
    try:
        yield Trino(connection)
    finally:
        connection.close()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def view_statement(path: Path) -> str:
    """The file's one CREATE OR REPLACE VIEW statement, as Trino takes it."""
    return _view(path)[0]


def view_query(path: Path) -> str:
    """What the view of this file selects."""
    return _view(path)[1]


def _view(path: Path) -> tuple[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TerminalError(f"view {path} cannot be read: {error.strerror}; restore the file") from error
    statement = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip().rstrip(";")
    found = _VIEW.fullmatch(statement)
    if found is None or ";" in statement:
        raise TerminalError(f"view {path} is not one CREATE OR REPLACE VIEW ... AS SELECT statement; mend it")
    return statement, found["query"]
