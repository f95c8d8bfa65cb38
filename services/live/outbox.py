"""Messages for the topic of live tags: written in the transaction that changes the answer, sent afterwards."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.live.progress import Progress
from services.profiles.database import Database, Value
from spark_jobs.contracts.topics import LIVE_TAGS_TOPIC
from spark_jobs.tagging.calendar import moment_of

PARTITIONS = LIVE_TAGS_TOPIC.partitions
_COLUMNS = "workspace, number, place, message_key, message"
_ROWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Change:
    """One answer that became another; None stands for the tag's `otherwise`. cause: `events` or `time`."""

    tag: str
    version: str
    person_id: str
    old: str | None
    new: str | None
    cause: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """One message that is not known to be sent; seq ascends in the order in which they go."""

    seq: int
    place: int
    key: str
    message: str


def add(database: Database, of: Progress, changes: Sequence[Change], *, base: int) -> None:
    """Put changes at the end, in an open transaction; base: the base time of the new answers, microseconds."""
    _insert(database, of, [_row(of, one, base) for one in changes])


def begin(database: Database, of: Progress) -> None:
    """Let the messages of a generation go from now on, behind a note in each partition; in an open transaction.

    They move behind what the generation before it wrote meanwhile.
    """
    last = int(database.rows("SELECT max(seq) FROM live_outbox WHERE number = ?", [of.number])[0][0] or 0)
    pointer = of.pointer
    note = {"workspace_id": of.workspace, "publication": pointer.publication, "snapshot_id": pointer.snapshot_id}
    text = json.dumps({**note, "base_at": pointer.base_at, "generation": of.number})
    _insert(database, of, [(place, of.workspace, text) for place in range(PARTITIONS)])
    database.run(
        f"INSERT INTO live_outbox ({_COLUMNS}) SELECT {_COLUMNS} FROM live_outbox "
        "WHERE number = ? AND seq <= ? ORDER BY seq",
        [of.number, last],
    )
    database.run("DELETE FROM live_outbox WHERE number = ? AND seq <= ?", [of.number, last])


def next_messages(database: Database, workspace: str, *, most: int) -> list[Waiting]:
    """The next messages that may go: those of a generation that waits may not."""
    rows = database.rows(
        "SELECT seq, place, message_key, message FROM live_outbox WHERE workspace = ? AND number NOT IN "
        f"(SELECT number FROM live_progress WHERE state = 'waiting') ORDER BY seq LIMIT {most}",
        [workspace],
    )
    return [Waiting(int(seq or 0), int(place or 0), str(key), str(message)) for seq, place, key, message in rows]


def sent(database: Database, workspace: str, until: int) -> None:
    """Forget the messages of a workspace up to a number, which are sent; those that wait stay."""
    database.run(
        "DELETE FROM live_outbox WHERE workspace = ? AND seq <= ? AND number NOT IN "
        "(SELECT number FROM live_progress WHERE state = 'waiting')",
        [workspace, until],
    )


def _row(of: Progress, change: Change, base: int) -> tuple[int, str, str]:
    message = {
        "workspace_id": of.workspace,
        "tag": change.tag,
        "person_id": change.person_id,
        "old_value": change.old,
        "new_value": change.new,
        "cause": change.cause,
        "live_as_of": moment_of(base).isoformat(),
        "version": change.version,
        "publication": of.pointer.publication,
        "snapshot_id": of.pointer.snapshot_id,
        "generation": of.number,
    }
    place = zlib.crc32(change.person_id.encode()) % PARTITIONS
    return place, f"{of.workspace}/{change.tag}/{change.person_id}", json.dumps(message, ensure_ascii=False)


def _insert(database: Database, of: Progress, rows: Sequence[tuple[int, str, str]]) -> None:
    for part in _parts(rows):
        values: list[Value] = []
        for place, key, message in part:
            values += [of.workspace, of.number, place, key, message]
        marks = ", ".join(["(?, ?, ?, ?, ?)"] * len(part))
        database.run(f"INSERT INTO live_outbox ({_COLUMNS}) VALUES {marks}", values)


def _parts(rows: Sequence[tuple[int, str, str]]) -> Iterator[Sequence[tuple[int, str, str]]]:
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        yield rows[start : start + _ROWS_AT_ONCE]
