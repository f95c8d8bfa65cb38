"""The tables of an identity generation, whole from the lake or from the generation before and what changed since."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from services.profiles.database import Database
from services.profiles.lake import Lake
from services.profiles.published import Published
from spark_jobs.contracts.identity import IDENTITY_MAP, PERSONS
from spark_jobs.errors import TerminalError

# System time as in spark_jobs/people/system_time.py. Only what is held for good has a holder now: who was alone on a
# shared device for some time is not who holds it.
_SINCE = "coalesce(epoch_us(system_from), -2208988800000000)"
_FOR_EVER = "valid_to >= TIMESTAMPTZ '9999-12-31 00:00:00+00'"
KNOWN = f"{_SINCE} <= $at_us AND (system_to IS NULL OR epoch_us(system_to) > $at_us)"
_ID = "unhex(replace(person_id, '-', ''))"

_IDENTIFIERS = f"SELECT token, person_no FROM map WHERE {KNOWN} AND {_FOR_EVER} ORDER BY token"
_NEWEST = f"""
newest AS (
    SELECT person_id, max_by(person_no, {_SINCE}) AS person_no, max_by(survivor_id, {_SINCE}) AS survivor_id
    FROM persons WHERE {_SINCE} <= $at_us GROUP BY person_id
)"""
_MASTERS = f"""
WITH {_NEWEST}, living AS (SELECT person_id AS survivor_id, person_no FROM newest WHERE survivor_id = person_id)
SELECT {_ID} AS person_id, living.person_no FROM newest JOIN living USING (survivor_id) ORDER BY 1
"""
_PERSONS = f"WITH {_NEWEST} SELECT person_no, {_ID} AS person_id FROM newest WHERE survivor_id = person_id ORDER BY 1"

# -1 stands for nobody. At one moment a token has one lasting holder at most, so these rows are unique on it.
_MOVED_TOKENS = f"""
SELECT token, coalesce(max(person_no) FILTER (WHERE {KNOWN}), -1) AS person_no FROM map
WHERE {_FOR_EVER} AND ({_SINCE} > $since_us OR epoch_us(system_to) > $since_us) AND {_SINCE} <= $at_us
GROUP BY token ORDER BY token
"""
_MOVED_PERSONS = f"""
SELECT {_ID} AS person_id, max_by(person_no, {_SINCE}) AS person_no,
    unhex(replace(max_by(survivor_id, {_SINCE}), '-', '')) AS survivor_id
FROM persons WHERE {_SINCE} > $since_us AND {_SINCE} <= $at_us GROUP BY person_id ORDER BY 1
"""

# So many parts of a table are copied in a transaction each: one that copies all would hold up others that write.
_PARTS = 64


def fill_identity(database: Database, lake: Lake, published: Published, number: int) -> dict[str, int]:
    """Read everything; rows by table."""
    values = {"at_us": published.snapshot_us}
    rows = {
        "identifiers": database.bulk(
            f"identifiers_{number}", lake.batches(_IDENTIFIERS, {"map": IDENTITY_MAP}, values)
        ),
        "masters": database.bulk(f"masters_{number}", lake.batches(_MASTERS, {"persons": PERSONS}, values)),
        "persons": database.bulk(f"persons_{number}", lake.batches(_PERSONS, {"persons": PERSONS}, values)),
    }
    _index(database, number)
    return rows


def renew_identity(
    database: Database, lake: Lake, published: Published, number: int, *, before: tuple[int, int]
) -> dict[str, int]:
    """Copy the generation before inside the store, and read only what changed since.

    before: number of that generation, and the moment of its snapshot, microseconds. Out: rows that were read.
    """
    old, since_us = before
    values = {"at_us": published.snapshot_us, "since_us": since_us}
    moved = {
        "tokens": _move_tokens(database, lake, values, number=number, old=old),
        "persons": _move_persons(database, lake, values, number=number, old=old),
    }
    _index(database, number)
    return moved


def check_identity(database: Database, number: int) -> None:
    """TerminalError where an identifier or a master id belongs to a person who is not there."""
    for table in ("identifiers", "masters"):
        sql = (
            f"SELECT count(*) FROM {table}_{number} AS k WHERE NOT EXISTS "
            f"(SELECT 1 FROM persons_{number} AS p WHERE p.person_no = k.person_no)"
        )
        with database.transaction():
            orphans = int(database.rows(sql)[0][0] or 0)
        if orphans:
            raise TerminalError(f"{orphans} rows of {table} name a person whom core.persons has not; audit the lake")


def refuse_known(database: Database, number: int) -> None:
    """Whoever refused profiling is found again among the persons of this generation; in an open transaction."""
    for kind, table, column in (("token", "identifiers", "token"), ("person_id", "masters", "person_id")):
        database.run(
            f"INSERT INTO refused_{number} (person_no) SELECT DISTINCT k.person_no FROM {table}_{number} AS k "
            f"JOIN refusals AS r ON r.subject = k.{column} WHERE r.kind = '{kind}' "
            f"AND k.person_no NOT IN (SELECT person_no FROM refused_{number}) ON CONFLICT DO NOTHING"
        )


def _move_tokens(database: Database, lake: Lake, values: Mapping[str, Any], *, number: int, old: int) -> int:
    stage = f"stage_{number}"
    database.create(stage, f"token {database.bytes_type}, person_no BIGINT NOT NULL")
    count = database.bulk(stage, lake.batches(_MOVED_TOKENS, {"map": IDENTITY_MAP}, values))
    database.index(stage, "token")
    _copy(database, f"identifiers_{old}", f"identifiers_{number}", "token, person_no", stage=stage)
    with database.transaction():
        database.run(
            f"INSERT INTO identifiers_{number} (token, person_no) SELECT token, person_no FROM {stage} "
            "WHERE person_no >= 0 ORDER BY token"
        )
    database.run(f"DROP TABLE {stage}")
    return count


def _move_persons(database: Database, lake: Lake, values: Mapping[str, Any], *, number: int, old: int) -> int:
    stage, blob = f"stage_{number}", database.bytes_type
    database.create(stage, f"person_id {blob}, person_no BIGINT NOT NULL, survivor_id {blob} NOT NULL")
    count = database.bulk(stage, lake.batches(_MOVED_PERSONS, {"persons": PERSONS}, values))
    database.index(stage, "person_id")
    _copy(database, f"masters_{old}", f"masters_{number}", "person_id, person_no", stage=stage)
    _copy_persons(database, old=old, number=number)
    with database.transaction():
        # A survivor lives: of one that was not moved the former generation knows its own number.
        database.run(
            f"INSERT INTO masters_{number} (person_id, person_no) "
            f"SELECT s.person_id, coalesce(l.person_no, o.person_no) FROM {stage} AS s "
            f"LEFT JOIN {stage} AS l ON l.person_id = s.survivor_id "
            f"LEFT JOIN masters_{old} AS o ON o.person_id = s.survivor_id ORDER BY s.person_id"
        )
        database.run(
            f"INSERT INTO persons_{number} (person_no, person_id) SELECT person_no, person_id FROM {stage} "
            "WHERE survivor_id = person_id ORDER BY person_no"
        )
    database.run(f"DROP TABLE {stage}")
    return count


def _copy(database: Database, source: str, target: str, columns: str, *, stage: str) -> None:
    """Copy what the stage does not name, by ranges of the key."""
    key = columns.split(",", 1)[0]
    for since, until in _ranges():
        upper = "" if until is None else f" AND {key} < ?"
        sql = (
            f"INSERT INTO {target} ({columns}) SELECT {columns} FROM {source} WHERE {key} >= ?{upper} "
            f"AND NOT EXISTS (SELECT 1 FROM {stage} WHERE {stage}.{key} = {source}.{key}) ORDER BY {key}"
        )
        with database.transaction():
            database.run(sql, [since] if until is None else [since, until])


def _copy_persons(database: Database, *, old: int, number: int) -> None:
    stage = f"stage_{number}"
    for since, until in number_ranges(database, f"persons_{old}"):
        with database.transaction():
            database.run(
                f"INSERT INTO persons_{number} (person_no, person_id) SELECT person_no, person_id "
                f"FROM persons_{old} AS p WHERE person_no >= ? AND person_no < ? "
                f"AND NOT EXISTS (SELECT 1 FROM {stage} AS s WHERE s.person_id = p.person_id) ORDER BY person_no",
                [since, until],
            )


def _ranges() -> Iterator[tuple[bytes, bytes | None]]:
    """The space of keys in _PARTS parts by their first byte: tokens and ids are spread evenly."""
    step = 256 // _PARTS
    for part in range(_PARTS):
        until = None if part == _PARTS - 1 else bytes([(part + 1) * step])
        yield bytes([part * step]) if part else b"", until


def number_ranges(database: Database, table: str) -> Iterator[tuple[int, int]]:
    """The numbers of persons in a table in _PARTS half-open ranges."""
    ((first, last),) = database.rows(f"SELECT min(person_no), max(person_no) FROM {table}")
    if first is None or last is None:
        return
    step = max(1, -(-(int(last) + 1 - int(first)) // _PARTS))
    for since in range(int(first), int(last) + 1, step):
        yield since, since + step


def _index(database: Database, number: int) -> None:
    keys = {"identifiers": "token", "masters": "person_id", "persons": "person_no", "refused": "person_no"}
    for table, key in keys.items():
        database.index(f"{table}_{number}", key)
