"""Generations of the store: begin one beside the others, send readers to it in one transaction, drop it much later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from services.profiles.database import Database, Row, Value
from services.profiles.schema import tables_of

# A request is over long before: PostgreSQL ends its statements after 5 s, and a store that is away is waited for 15 s.
GRACE = timedelta(seconds=60)
_COLUMNS = "number, kind, workspace, state, facts, dictionary, begun_at, retired_at"
_POINTER = "workspace, identity_no, tags_no, publication, snapshot_id, published_at, base_at, loaded_at"


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where readers of a workspace go: two generations of one snapshot, and when it was published (ISO, UTC)."""

    workspace: str
    identity_no: int
    tags_no: int
    publication: int
    snapshot_id: str
    published_at: str
    base_at: str
    loaded_at: str


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation. `facts`: what it was made of; state: `loading`, then `ready`."""

    number: int
    kind: str
    workspace: str
    state: str
    facts: dict[str, Any]
    dictionary: str
    begun_at: str
    retired_at: str | None


def now_text() -> str:
    """This instant, UTC; the texts sort as the instants do."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def pointer_of(database: Database, workspace: str) -> Pointer | None:
    """Where readers of this workspace go now; None before its first load."""
    found = database.rows(f"SELECT {_POINTER} FROM pointers WHERE workspace = ?", [workspace])
    return _pointer(found[0]) if found else None


def pointers(database: Database) -> list[Pointer]:
    """Those of all workspaces."""
    return [_pointer(row) for row in database.rows(f"SELECT {_POINTER} FROM pointers ORDER BY workspace")]


def generations(database: Database) -> list[Generation]:
    """All whose tables are there, oldest first."""
    return [_generation(row) for row in database.rows(f"SELECT {_COLUMNS} FROM generations ORDER BY number")]


def generation(database: Database, number: int) -> Generation | None:
    """One of them."""
    found = database.rows(f"SELECT {_COLUMNS} FROM generations WHERE number = ?", [number])
    return _generation(found[0]) if found else None


def begin(database: Database, kind: str, *, workspace: str = "", facts: Mapping[str, Any]) -> int:
    """Note a new generation, then make its tables, which nobody reads; its number."""
    database.run(
        "INSERT INTO generations (kind, workspace, state, facts, dictionary, begun_at) "
        "VALUES (?, ?, 'loading', ?, '', ?)",
        [kind, workspace, json.dumps(facts, sort_keys=True), now_text()],
    )
    number = int(database.rows("SELECT max(number) FROM generations")[0][0] or 0)
    for table, columns in tables_of(kind, number, database).items():
        database.create(table, columns)
    return number


def make_ready(database: Database, number: int, *, facts: Mapping[str, Any], dictionary: str = "") -> None:
    """Say that a generation is whole; part of the transaction that the caller has open."""
    database.run(
        "UPDATE generations SET state = 'ready', facts = ?, dictionary = ? WHERE number = ?",
        [json.dumps(facts, sort_keys=True), dictionary, number],
    )


def switch(database: Database, to: Pointer) -> None:
    """Send readers of a workspace elsewhere; what nobody is sent to any more is retired. One open transaction."""
    database.run("DELETE FROM pointers WHERE workspace = ?", [to.workspace])
    values: list[Value] = [to.workspace, to.identity_no, to.tags_no, to.publication, to.snapshot_id]
    values += [to.published_at, to.base_at, to.loaded_at]
    database.run(f"INSERT INTO pointers ({_POINTER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    database.run(
        "UPDATE generations SET retired_at = ? WHERE state = 'ready' AND retired_at IS NULL AND number < ? "
        "AND number NOT IN (SELECT identity_no FROM pointers) AND number NOT IN (SELECT tags_no FROM pointers)",
        [now_text(), max(to.identity_no, to.tags_no)],
    )
    database.run("UPDATE generations SET retired_at = NULL WHERE number IN (?, ?)", [to.identity_no, to.tags_no])


def sweep(database: Database, *, grace: timedelta = GRACE) -> list[int]:
    """Drop generations of loads that died, and those that were retired so long ago that no reader is in them.

    Only for who holds the lock of loading. Out: the numbers of those that were dropped.
    """
    before = (datetime.now(UTC) - grace).isoformat(timespec="microseconds")
    used = {number for one in pointers(database) for number in (one.identity_no, one.tags_no)}
    dropped = []
    for one in generations(database):
        is_old = one.retired_at is not None and one.retired_at <= before
        if one.number not in used and (one.state == "loading" or is_old):
            drop(database, one)
            dropped.append(one.number)
    return dropped


def drop(database: Database, one: Generation) -> None:
    """Its tables first: were it forgotten before, nobody would look for them."""
    for table in (*tables_of(one.kind, one.number, database), f"stage_{one.number}"):
        database.run(f"DROP TABLE IF EXISTS {table}")
    database.run("DELETE FROM generations WHERE number = ?", [one.number])


def newest(database: Database, kind: str, workspace: str = "") -> Generation | None:
    """The newest whole generation of a kind (and workspace), in force or not."""
    found = [one for one in generations(database) if (one.kind, one.workspace, one.state) == (kind, workspace, "ready")]
    return found[-1] if found else None


def _pointer(row: Row) -> Pointer:
    workspace, identity_no, tags_no, publication, *texts = row
    numbers = (int(identity_no or 0), int(tags_no or 0), int(publication or 0))
    return Pointer(str(workspace), *numbers, *(str(text) for text in texts))


def _generation(row: Row) -> Generation:
    number, kind, workspace, state, facts, dictionary, begun_at, retired_at = row
    texts = (str(kind), str(workspace), str(state))
    gone = None if retired_at is None else str(retired_at)
    return Generation(int(number or 0), *texts, json.loads(str(facts)), str(dictionary), str(begun_at), gone)
