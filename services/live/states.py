"""What the store holds of persons for their live answers: read for those that something happened to, written whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.live.counting import PersonRows
from services.live.progress import Progress
from services.live.records import EVENT_WIDTH, REGISTRATION_WIDTH, Rows, packed, unpacked
from services.profiles.database import Database, Value
from services.profiles.overlay import Overlay, overlay_text, read_overlay
from services.profiles.packing import Values, unpack

PERSONS_AT_ONCE = 500
_ROWS_AT_ONCE = 100
_COLUMNS = "person_no, next_at, as_of, answers, events"


@dataclass(frozen=True, slots=True)
class Stored:
    """One person: master id (16 bytes), facts, answers of the batch and live ones.

    is_refused: whether the person refuses profiling, or did when the batch ran, which left it out.
    """

    person_no: int
    person_id: bytes
    rows: PersonRows
    batch: Values
    overlay: Overlay
    is_refused: bool

    def visible(self, number: int) -> str | None:
        """The value that a tag has now; None for its `otherwise`."""
        if number in self.overlay:
            return self.overlay[number][0]
        return self.batch[number][0] if number in self.batch else None


@dataclass(frozen=True, slots=True)
class Written:
    """One person's row as it is to be; as_of: the base time at which it was answered."""

    person_no: int
    next_at: int
    as_of: int
    overlay: Overlay
    events: Rows


def read(database: Database, of: Progress, persons: Sequence[int]) -> list[Stored]:
    """Those of the persons that live in the snapshot, in no order; PERSONS_AT_ONCE of them at most."""
    wanted = _padded(persons)
    marks = ", ".join("?" for _ in wanted)
    found = database.rows(
        "SELECT p.person_no, p.person_id, f.packed, r.packed, l.events, t.packed, l.answers, "
        "CASE WHEN d.person_no IS NOT NULL OR o.person_no IS NOT NULL OR t.refused = 1 THEN 1 ELSE 0 END "
        f"FROM persons_{of.identity_no} AS p "
        f"LEFT JOIN facts_{of.number} AS f ON f.person_no = p.person_no "
        f"LEFT JOIN registrations_{of.number} AS r ON r.person_no = p.person_no "
        f"LEFT JOIN live_{of.number} AS l ON l.person_no = p.person_no "
        f"LEFT JOIN left_out_{of.number} AS o ON o.person_no = p.person_no "
        f"LEFT JOIN profiles_{of.tags_no} AS t ON t.person_no = p.person_no "
        f"LEFT JOIN refused_{of.identity_no} AS d ON d.person_no = p.person_no WHERE p.person_no IN ({marks})",
        wanted,
    )
    return [
        Stored(
            person_no=int(person_no or 0),
            person_id=_bytes(person_id),
            rows=PersonRows(
                unpacked(_bytes(facts), EVENT_WIDTH),
                unpacked(_bytes(registrations), REGISTRATION_WIDTH),
                unpacked(_bytes(events), EVENT_WIDTH),
            ),
            batch=unpack(str(batch or "")),
            overlay=read_overlay(str(answers or "")),
            is_refused=refused == 1,
        )
        for person_no, person_id, facts, registrations, events, batch, answers, refused in found
    ]


def due(database: Database, of: Progress, base: int, *, most: int) -> list[int]:
    """Persons whose answers time alone may have changed by a base time, those that are due longest first."""
    sql = f"SELECT person_no FROM live_{of.number} WHERE next_at <= ? ORDER BY next_at LIMIT {most}"
    return [int(person or 0) for (person,) in database.rows(sql, [base])]


def write(database: Database, of: Progress, rows: Sequence[Written]) -> None:
    """Put the rows in the place of what is there, in an open transaction."""
    row_marks = f"({', '.join('?' for _ in _COLUMNS.split(','))})"
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[start : start + _ROWS_AT_ONCE]
        values: list[Value] = []
        for one in part:
            values += [one.person_no, one.next_at, one.as_of, overlay_text(one.overlay), packed(one.events)]
        database.run(
            f"INSERT INTO live_{of.number} ({_COLUMNS}) VALUES {', '.join([row_marks] * len(part))} "
            "ON CONFLICT (person_no) DO UPDATE SET next_at = excluded.next_at, as_of = excluded.as_of, "
            "answers = excluded.answers, events = excluded.events",
            values,
        )


def chunks(persons: Sequence[int]) -> Iterator[Sequence[int]]:
    """The persons, PERSONS_AT_ONCE at a time."""
    for start in range(0, len(persons), PERSONS_AT_ONCE):
        yield persons[start : start + PERSONS_AT_ONCE]


def _padded(persons: Sequence[int]) -> list[int]:
    """As many as a power of two, the last one repeated, so that a store has few statements to prepare."""
    return [*persons, *[persons[-1]] * ((1 << (len(persons) - 1).bit_length()) - len(persons))]


def _bytes(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""
