"""What a request reads: a pointer, then rows of the two generations that it names, and of no other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.profiles import generations
from services.profiles.database import Database, GoneError, Value
from services.profiles.generations import Pointer
from services.profiles.tag_dictionary import Dictionary, read_dictionary

By = Literal["token", "person_id"]
_KEYS: Mapping[By, str] = {"token": "identifiers", "person_id": "masters"}


_MOST_KNOWN = 64
_REFUSES = "CASE WHEN r.person_no IS NOT NULL OR t.refused = 1 THEN 1 ELSE 0 END"
_SHOWN = f"CASE WHEN {_REFUSES} = 1 THEN '' ELSE t.packed END"


@dataclass(frozen=True, slots=True)
class Reader:
    """The store, and the tags of generations that were met: one never changes, and numbers are never used twice."""

    database: Database
    dictionaries: dict[int, Dictionary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """One person: the living master id (16 bytes), whether profiling is refused, all tag values, packed, or ''.

    live: answers of live tags that lie over those (`overlay.py`), or ''. live_as_of: the base time at which the live
    tags of this person hold, microseconds; None where no tag is live.
    """

    person_id: bytes
    refused: bool
    packed: str
    live: str = ""
    live_as_of: int | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What one request saw: where it went, the tags there, and the persons by the keys it asked for."""

    pointer: Pointer
    dictionary: Dictionary
    persons: Mapping[bytes, Found]


def look_up(reader: Reader, workspace: str, keys: Mapping[By, Sequence[bytes]]) -> Seen | None:
    """The persons behind keys, all of one snapshot; None where the workspace has never been loaded."""
    try:
        return _look_up(reader, workspace, keys)
    except GoneError:  # it slept for longer than a generation that nobody is sent to is kept
        return _look_up(reader, workspace, keys)


def _look_up(reader: Reader, workspace: str, keys: Mapping[By, Sequence[bytes]]) -> Seen | None:
    pointer = generations.pointer_of(reader.database, workspace)
    if pointer is None:
        return None
    persons: dict[bytes, Found] = {}
    for by, wanted in keys.items():
        if wanted:
            persons.update(_persons(reader.database, pointer, by, wanted))
    return Seen(pointer, _dictionary(reader, pointer.tags_no), persons)


def _persons(database: Database, pointer: Pointer, by: By, keys: Sequence[bytes]) -> Iterable[tuple[bytes, Found]]:
    identity, tags, column = pointer.identity_no, pointer.tags_no, by
    padded = _padded(keys)
    marks = ", ".join("?" for _ in padded)
    live, live_join = _live(pointer.live_no)
    # Each of the joined tables is unique on person_no. One statement sees live answers and what they hold for at once.
    sql = (
        f"SELECT k.{column}, p.person_id, {_REFUSES}, {_SHOWN}, {live} FROM {_KEYS[by]}_{identity} AS k "
        f"JOIN persons_{identity} AS p ON p.person_no = k.person_no "
        f"LEFT JOIN refused_{identity} AS r ON r.person_no = k.person_no "
        f"LEFT JOIN profiles_{tags} AS t ON t.person_no = k.person_no {live_join}WHERE k.{column} IN ({marks})"
    )
    for key, person_id, refuses, packed, answers, own_as_of, as_of in database.rows(sql, padded):
        moments = [int(one) for one in (own_as_of, as_of) if one is not None]
        held = (str(packed or ""), str(answers or ""), max(moments, default=None))
        yield _bytes(key), Found(_bytes(person_id), refuses == 1, *held)


def _live(number: int | None) -> tuple[str, str]:
    """The columns of live answers and the join that they need.

    A person who was answered behind all others holds for that later moment.
    """
    if number is None:
        return "NULL, NULL, NULL", ""
    shown = f"CASE WHEN {_REFUSES} = 1 THEN '' ELSE l.answers END"
    as_of = f"(SELECT as_of FROM live_progress WHERE number = {number})"
    return f"{shown}, l.as_of, {as_of}", f"LEFT JOIN live_{number} AS l ON l.person_no = k.person_no "


def _padded(keys: Sequence[bytes]) -> list[bytes]:
    """As many keys as a power of two, the last one repeated, so that a store has few statements to prepare."""
    return [*keys, *[keys[-1]] * ((1 << (len(keys) - 1).bit_length()) - len(keys))]


def _bytes(value: Value) -> bytes:
    assert isinstance(value, bytes)
    return value


def _dictionary(reader: Reader, number: int) -> Dictionary:
    known = reader.dictionaries.get(number)
    if known is None:
        found = generations.generation(reader.database, number)
        if found is None:
            raise GoneError("the generation of tags is not there")
        if len(reader.dictionaries) >= _MOST_KNOWN:
            reader.dictionaries.clear()
        known = reader.dictionaries[number] = read_dictionary(found.dictionary)
    return known
