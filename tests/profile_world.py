"""A world of persons who come, merge, split and change, and the tables that the profile API serves of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from services.profiles import generations
from services.profiles.database import Database, Row
from services.profiles.packing import unpack
from services.profiles.tag_dictionary import read_dictionary
from tests.profile_lake import WORKSPACE, LakeWriter, phone


def served(database: Database) -> dict[str, list[Any]]:
    """All rows that readers of the workspace are sent to; tags by name, not by the generation's own numbers."""
    pointer = generations.pointer_of(database, WORKSPACE)
    assert pointer is not None
    tags = generations.generation(database, pointer.tags_no)
    assert tags is not None
    names = {number: tag.name for number, tag in read_dictionary(tags.dictionary).by_number.items()}
    rows: dict[str, list[Any]] = {}
    for table, key in (("identifiers", "token"), ("masters", "person_id"), ("persons", "person_no")):
        rows[table] = database.rows(f"SELECT * FROM {table}_{pointer.identity_no} ORDER BY {key}")
    profiles = database.rows(f"SELECT person_no, tags, refused, packed FROM profiles_{pointer.tags_no} ORDER BY 1")
    rows["profiles"] = [_by_name(row, names) for row in profiles]
    return rows


def _by_name(row: Row, names: dict[int, str]) -> tuple[object, ...]:
    return (*row[:3], sorted((names[number], *rest) for number, rest in unpack(str(row[3])).items()))


@dataclass
class World:
    """Persons who come, merge, split and change: number to whom each resolves, and the tags of those who live."""

    lake: LakeWriter
    chance: random.Random
    resolves: dict[int, int] = field(default_factory=dict)
    values: dict[int, dict[str, str]] = field(default_factory=dict)

    def day(self) -> None:
        """One publication; on the fourth day one tag leaves, and another comes."""
        if self.lake.number == 3:
            self.lake.tags = {"dormant": {}, "zeal": {}}
            self.values = {person: _without(held, "basket") for person, held in self.values.items()}
        self.lake.next()
        self._comes()
        self._merges()
        if lost := [person for person, survivor in self.resolves.items() if survivor != person]:
            self._resolve(person := self.chance.choice(lost), person)  # it lives on its own again
            self.values[person] = {}
        for person in self.chance.sample(sorted(self.values), 2):
            self.values[person] = {
                tag: str(self.chance.randrange(3)) for tag in self.lake.tags if self.chance.random() < 0.6
            }
        self.lake.publish(self.values)

    def _comes(self) -> None:
        for _ in range(3):
            person = len(self.resolves) + 1
            self.lake.holds(person, "phone", phone(person))
            self._resolve(person, person)
            self.values[person] = {}

    def _merges(self) -> None:
        lost, survivor = self.chance.sample(sorted(self.values), 2)
        self.values.pop(lost)
        for person in [person for person, held in self.resolves.items() if held == lost]:
            self._resolve(person, survivor)

    def _resolve(self, person: int, survivor: int) -> None:
        if person in self.resolves:
            self.lake.holds(survivor, "phone", phone(person))
        self.resolves[person] = survivor
        self.lake.person(person, resolves_to=survivor)


def _without(held: dict[str, str], name: str) -> dict[str, str]:
    return {tag: value for tag, value in held.items() if tag != name}
