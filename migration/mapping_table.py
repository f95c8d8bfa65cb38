"""The part of a mapping file that says which table of a database is read, and how it is cut into chunks."""

from __future__ import annotations

import re
from collections.abc import Mapping as Keys
from collections.abc import Sequence
from typing import Any

from migration.mapping import Rule, SourceTable, identifiers_of

TABLE = "table"  # the format of a mapping whose source is a database
TABLE_KEYS: dict[str, tuple[type, bool]] = {
    "table": (str, False),
    "split_by": (str, False),
    "where": (str, False),
    "chunk_rows": (int, False),
}
_FILE_KEYS = ("files", "encoding", "delimiter", "quote")
_NAME = re.compile(r"[\w$-]+\.[\w$-]+")


def source_table_of(given: Keys[str, Any]) -> SourceTable | None:
    """The table of a checked mapping; None for a mapping of files."""
    if given["format"] != TABLE:
        return None
    options = {key: given[key] for key in ("where", "chunk_rows") if key in given}
    return SourceTable(given["table"], given["split_by"], **options)


def source_problems(given: Keys[str, Any]) -> list[str]:
    """What is missing, or said of the wrong kind of source."""
    is_table = given["format"] == TABLE
    wanted = ("table", "split_by") if is_table else ("files",)
    foreign = _FILE_KEYS if is_table else tuple(TABLE_KEYS)
    kind = "a table" if is_table else "files"
    problems = [f"missing key {key!r}" for key in wanted if key not in given]
    problems += [f"{key!r} means nothing to a mapping of {kind}" for key in foreign if key in given]
    if is_table and not _NAME.fullmatch(given.get("table", "")):
        problems.append(f"table is {given.get('table')!r}, wanted SCHEMA.NAME")
    if given.get("chunk_rows", 1) < 1:
        problems.append(f"chunk_rows is {given['chunk_rows']}, wanted 1 or more")
    return problems


def key_of_split_problems(given: Keys[str, Any], rules: Sequence[Rule]) -> list[str]:
    """The bounds of ranges stand in plans and in the ledger: an identifier would stand there in clear."""
    name = given.get("split_by")
    is_clear = any(name == identifier.source for rule in rules for identifier in identifiers_of(rule))
    return [f"split_by {name!r} is an identifier and would stand in the ledger in clear"] if is_clear else []
