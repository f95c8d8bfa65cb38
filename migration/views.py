"""A view's definition in a file: the statement that makes it, and the query behind it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from spark_jobs.errors import TerminalError

CATALOG = "lake_admin"  # the one in which views are made
_VIEW = re.compile(
    r"CREATE\s+OR\s+REPLACE\s+VIEW\s+(?P<name>\S+)\s.*?\bAS\s+(?P<query>(?:SELECT|WITH)\b.*)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Body:
    """What a view shows: the CREATE OR REPLACE VIEW statement, as Trino takes it, and what it selects."""

    statement: str
    query: str


def read_body(path: Path, view: str) -> Body:
    """The file's one statement, which must make this view; `view` is SCHEMA.VIEW."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TerminalError(f"view {path} cannot be read: {error.strerror}; restore the file") from error
    except UnicodeDecodeError as error:
        raise TerminalError(f"view {path} is not UTF-8 at byte {error.start}; mend it") from error
    statement = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip().rstrip(";")
    found = _VIEW.fullmatch(statement)
    if found is None or ";" in statement:
        raise TerminalError(f"view {path} is not one CREATE OR REPLACE VIEW ... AS SELECT statement; mend it")
    if found["name"].replace('"', "").lower() != f"{CATALOG}.{view}".lower():
        raise TerminalError(f"view {path} makes {found['name']}, wanted {CATALOG}.{view}; mend it, or the job's `view`")
    return Body(statement, found["query"])
