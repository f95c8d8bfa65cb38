"""A view's definition in a file: the statement that makes it, and the query behind it."""

from __future__ import annotations

import re
from pathlib import Path

from spark_jobs.errors import TerminalError

_VIEW = re.compile(
    r"CREATE\s+OR\s+REPLACE\s+VIEW\s+(?P<name>\S+)\s.*?\bAS\s+(?P<query>(?:SELECT|WITH)\b.*)", re.IGNORECASE | re.DOTALL
)


def view_statement(path: Path) -> str:
    """The file's one CREATE OR REPLACE VIEW statement, as Trino takes it."""
    return _read(path)[0]


def view_query(path: Path) -> str:
    """What the view of this file selects."""
    return _read(path)[1]


def _read(path: Path) -> tuple[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TerminalError(f"view {path} cannot be read: {error.strerror}; restore the file") from error
    statement = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip().rstrip(";")
    found = _VIEW.fullmatch(statement)
    if found is None or ";" in statement:
        raise TerminalError(f"view {path} is not one CREATE OR REPLACE VIEW ... AS SELECT statement; mend it")
    return statement, found["query"]
