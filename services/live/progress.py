"""How far each generation of live tags has come: in the topic, and in time. One row, which every step moves on.

A row is `waiting` while readers are not sent to its generation, `followed` from then on; it goes with the generation's
tables, as a reader may still be in them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from services.profiles.database import Database, Row
from services.profiles.generations import Pointer
from spark_jobs.errors import RetryableError

State = Literal["waiting", "followed"]
_COLUMNS = "number, workspace, state, identity_no, tags_no, pointer, as_of, reached, offsets, writes"


@dataclass(frozen=True, slots=True)
class Progress:
    """One generation of live tags; instants are microseconds since 1970 UTC.

    as_of: every person's answer holds at this base time. reached: some hold at a later one, none at a later than this.
    offsets: partition to the first message that is not counted. writes: ascends with every step, so that who lost the
    lock sees it.
    """

    number: int
    workspace: str
    state: State
    identity_no: int
    tags_no: int
    pointer: Pointer
    as_of: int
    reached: int
    offsets: Mapping[int, int] = field(default_factory=dict)
    writes: int = 0


def register(database: Database, pointer: Pointer, *, base: int) -> None:
    """Let a whole generation wait in the place of an older one; part of the transaction that the caller has open."""
    assert pointer.live_no is not None
    give_up_waiting(database, pointer.workspace)
    text = json.dumps(asdict(pointer))
    database.run(
        f"INSERT INTO live_progress ({_COLUMNS}) VALUES (?, ?, 'waiting', ?, ?, ?, ?, ?, '{{}}', 0)",
        [pointer.live_no, pointer.workspace, pointer.identity_no, pointer.tags_no, text, base, base],
    )


def give_up_waiting(database: Database, workspace: str) -> None:
    """Let what waits never be served: readers go elsewhere; in an open transaction."""
    old = database.rows("SELECT number FROM live_progress WHERE workspace = ? AND state = 'waiting'", [workspace])
    for (number,) in old:
        # Who follows it may have sent readers there meanwhile: then it is given up no more.
        if database.run("DELETE FROM live_progress WHERE number = ? AND state = 'waiting'", [number]):
            database.run("DELETE FROM live_outbox WHERE number = ?", [number])


def progress_of(database: Database, number: int) -> Progress | None:
    """The row of a generation."""
    found = database.rows(f"SELECT {_COLUMNS} FROM live_progress WHERE number = ?", [number])
    return _progress(found[0]) if found else None


def waiting_of(database: Database, workspace: str) -> Progress | None:
    """The generation that waits, if one does."""
    sql = f"SELECT {_COLUMNS} FROM live_progress WHERE workspace = ? AND state = 'waiting' ORDER BY number DESC"
    found = database.rows(sql, [workspace])
    return _progress(found[0]) if found else None


def every(database: Database) -> list[Progress]:
    """All rows."""
    return [_progress(row) for row in database.rows(f"SELECT {_COLUMNS} FROM live_progress ORDER BY number")]


def advance(database: Database, to: Progress) -> None:
    """Move a row on, in an open transaction; RetryableError where another process has moved it meanwhile.

    `to.writes` is one more than what the row must have now.
    """
    moved = database.run(
        "UPDATE live_progress SET state = ?, as_of = ?, reached = ?, offsets = ?, writes = ? "
        "WHERE number = ? AND writes = ?",
        [to.state, to.as_of, to.reached, json.dumps(to.offsets), to.writes, to.number, to.writes - 1],
    )
    if moved != 1:
        raise RetryableError(
            f"generation {to.number} of live tags of {to.workspace} was moved on by another process, or is gone"
        )


def _progress(row: Row) -> Progress:
    number, workspace, state, identity_no, tags_no, pointer, as_of, reached, offsets, writes = row
    return Progress(
        number=int(number or 0),
        workspace=str(workspace),
        state="waiting" if state == "waiting" else "followed",
        identity_no=int(identity_no or 0),
        tags_no=int(tags_no or 0),
        pointer=Pointer(**json.loads(str(pointer))),
        as_of=int(as_of or 0),
        reached=int(reached or 0),
        offsets={int(partition): offset for partition, offset in json.loads(str(offsets)).items()},
        writes=int(writes or 0),
    )
