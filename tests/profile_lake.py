"""A small lake of published persons and tags, written by delta-rs: what the profile API's loader is tested on."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
from deltalake import write_deltalake

from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS, TAG_VERSIONS
from spark_jobs.contracts.identity import IDENTITY_MAP, IDENTITY_SNAPSHOTS, PERSONS
from spark_jobs.contracts.schema import Table
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser

WORKSPACE = "grocery"
ALWAYS = datetime(1900, 1, 1, tzinfo=UTC)
FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_ARROW = {
    "string": pa.string(), "bigint": pa.int64(), "int": pa.int32(), "binary": pa.binary(),
    "timestamp": pa.timestamp("us", "UTC"), "boolean": pa.bool_(),
}  # fmt: skip


def master_id(person: int) -> str:
    """The master id of person number `person`."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(person)))


def phone(person: int) -> str:
    """A phone in clear."""
    return f"139{26_470_000 + person:08d}"


@dataclass(slots=True)
class LakeWriter:
    """Publishes one state of persons and tags after the other; a day lies between two."""

    root: Path
    key_file: Path
    tags: dict[str, dict[str, Any]] = field(default_factory=lambda: {"dormant": {}, "basket": {}})
    number: int = 0
    values: dict[tuple[int, str], str] = field(default_factory=dict)
    holders: list[dict[str, Any]] = field(default_factory=list)
    persons: list[dict[str, Any]] = field(default_factory=list)
    refusals: str = ""

    @property
    def at(self) -> datetime:
        """The base time of the newest publication, and the moment of its identity snapshot."""
        return FIRST + timedelta(days=self.number)

    @property
    def snapshot_id(self) -> str:
        """Its identity snapshot."""
        return f"snapshot-{self.number}"

    def next(self) -> None:
        """What is written from now on is of the next snapshot."""
        self.number += 1

    def person(self, person: int, *, resolves_to: int | None = None) -> None:
        """A person who lives, or who resolves to another from this snapshot on."""
        survivor = person if resolves_to is None else resolves_to
        row = {"person_id": master_id(person), "person_no": person, "seed_identifier_no": person, "generation": 1}
        row |= {"first_seen_at": FIRST, "survivor_id": master_id(survivor), "snapshot_id": self.snapshot_id}
        row |= {"system_from": self.at}
        # The registry has one row of an id in a snapshot.
        key = (row["person_id"], self.at)
        self.persons = [one for one in self.persons if (one["person_id"], one["system_from"]) != key]
        self.persons.append(row)

    def holds(self, person: int, kind: str, value: str, *, scope: str = "", until: datetime = FOR_EVER) -> None:
        """From this snapshot on, a person holds an identifier, and nobody else for good."""
        token = Tokeniser(load_root_keys(self.key_file)).token(kind, scope, value)
        for row in self.holders:
            if row["token"] == token and row["system_to"] is None:
                row["system_to"] = self.at
        row = {"identifier_no": person, "type": kind, "scope": scope, "token": token, "snapshot_id": self.snapshot_id}
        row |= {"person_id": master_id(person), "person_no": person, "valid_from": ALWAYS, "valid_to": until}
        self.holders.append(row | {"system_from": self.at, "system_to": None})

    def publish(self, values: Mapping[int, Mapping[str, str]], *, drop: int = 0) -> None:
        """Publish tag values: person to tag to value; what is not among them goes. `drop`: rows that are lost."""
        now = {(person, tag): value for person, every in values.items() for tag, value in every.items()}
        generation = f"{self.number:012d}-run"
        changed = [key for key in sorted({*now, *self.values}) if now.get(key) != self.values.get(key)]
        self._write(IDENTITY_MAP, self.holders, mode="overwrite")
        self._write(PERSONS, self.persons, mode="overwrite")
        self._write(IDENTITY_SNAPSHOTS, [{"published_at": self.at}])
        self._write(PERSON_TAGS, [self._row(key) | {"value": now[key]} for key in now][drop:])
        self._write(
            TAG_CHANGES, [self._row(key) | {"new_value": now.get(key), "state_version": self.number} for key in changed]
        )
        definition = json.dumps({"Tag": {"rule": {"Rule": {"otherwise": "none"}}}})
        self._write(
            TAG_VERSIONS,
            [{"tag": name, "version": self._version(name), "definition": definition} for name in self.tags],
        )
        state = {name: {"rule": "r", "basis": "b", "version": self._version(name), "classes": ""} for name in self.tags}
        state = {name: facts | self.tags[name] for name, facts in state.items()}
        row = {
            "number": self.number,
            "kind": "current",
            "published_at": self.at + timedelta(hours=1),
            "state": json.dumps({"tags": state, "refusals": self.refusals}),
        }
        self._write(TAG_PUBLICATIONS, [row | {"generation": generation, "rows": len(now), "changes": len(changed)}])
        self.values = now

    def _version(self, tag: str) -> str:
        return f"{tag}-v{self.number}"

    def _row(self, key: tuple[int, str]) -> dict[str, Any]:
        person, tag = key
        return {"person_no": person, "person_id": master_id(person), "tag": tag, "version": self._version(tag)}

    def _write(
        self, table: Table, rows: list[dict[str, Any]], *, mode: Literal["append", "overwrite"] = "append"
    ) -> None:
        shared = {"workspace_id": WORKSPACE, "snapshot_id": self.snapshot_id, "base_at": self.at}
        shared["generation"] = f"{self.number:012d}-run"
        schema = pa.schema([(column.name, _ARROW[column.type]) for column in table.columns])
        made = pa.Table.from_pylist([shared | row for row in rows], schema=schema)
        where = self.root / table.schema_name / table.table_name
        where.parent.mkdir(parents=True, exist_ok=True)
        write_deltalake(where, made, mode=mode, partition_by=list(table.partition_by) or None)
