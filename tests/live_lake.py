"""A small lake with live tags, and a topic in memory: the service of live tags is tested without Spark and Kafka."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from services.live.topic import Message
from services.profiles.lake import opened_lake
from services.profiles.loading import load
from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.derived import TAG_REFUSED, TAG_TIMERS, TAG_VERSIONS
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.settings import Workspace
from spark_jobs.tagging.calendar import micros
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.moment import NEVER
from spark_jobs.tagging.versions import definition_text
from tests.live_histories import Event, batch_answers
from tests.profile_lake import WORKSPACE, master_id, phone
from tests.profile_service import Place
from tests.tag_histories import COMPLETE_SINCE, NEW_YORK, Life, answers, moment

PARTITIONS = 4
OF_TESTS = Workspace(WORKSPACE, NEW_YORK, COMPLETE_SINCE)
_ARROW = {
    "string": pa.string(), "bigint": pa.int64(), "binary": pa.binary(), "boolean": pa.bool_(), "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "array<struct<tag:string,at:bigint>>": pa.list_(pa.struct([("tag", pa.string()), ("at", pa.int64())])),
}  # fmt: skip


class FakeTopic:
    """Messages by partition; every reader has places of its own."""

    def __init__(self) -> None:
        self.messages: dict[int, list[Message]] = {number: [] for number in range(PARTITIONS)}
        self.first = dict.fromkeys(range(PARTITIONS), 0)

    def send(self, value: bytes, *, partition: int, at: datetime) -> None:
        """Append a message that the broker got at a moment."""
        held = self.messages[partition]
        held.append(Message(partition, len(held), micros(at) // 1000, value))

    def reader(self) -> FakeReader:
        """A reader of its own."""
        return FakeReader(self)


class FakeReader:
    """A `Source` in memory."""

    def __init__(self, topic: FakeTopic) -> None:
        self._topic, self._at = topic, dict(topic.first)

    def beginnings(self) -> dict[int, int]:
        return dict(self._topic.first)

    def ends(self) -> dict[int, int]:
        return {number: len(held) for number, held in self._topic.messages.items()}

    def seek(self, offsets: Mapping[int, int]) -> None:
        self._at = dict(offsets)

    def read(self, *, wait_ms: int, most: int) -> list[Message]:
        del wait_ms
        found: list[Message] = []
        for number, held in self._topic.messages.items():
            part = held[self._at[number] : self._at[number] + most - len(found)]
            self._at[number] += len(part)
            found += part
        return found

    def close(self) -> None:
        pass


@dataclass
class LiveWorld:
    """Persons 0 until `persons`, each with a phone; events as they come; publications of what had come by then."""

    here: Place
    catalogue: Catalogue
    persons: int
    registered: Mapping[int, datetime] = field(default_factory=dict)
    topic: FakeTopic = field(default_factory=FakeTopic)
    events: list[tuple[Event, int, int]] = field(default_factory=list)  # with partition and offset, each once
    left_out: frozenset[int] = frozenset()  # persons of whom the batch answers nothing

    def __post_init__(self) -> None:
        self.here.lake.tags = {tag.name: {"classes": ",".join(tag.classes)} for tag in self.catalogue.tags}
        self.here.lake.next()
        for person in range(self.persons):
            self.here.lake.person(person)
            self.here.lake.holds(person, "phone", phone(person))

    @property
    def lake(self) -> str:
        """Its storage root."""
        return str(self.here.lake.root)

    def message(self, one: Event) -> bytes:
        """The event as a collector sends it."""
        return message_of(one, token(self.here.key_file, one.person))

    def send(self, *events: Event, at: datetime) -> None:
        """Events come; one that came before comes twice."""
        for one in events:
            partition = one.person % PARTITIONS
            if one.event_id not in {known.event_id for known, _, _ in self.events}:
                self.events.append((one, partition, len(self.topic.messages[partition])))
            self.topic.send(self.message(one), partition=partition, at=at)

    def publish(self, known: int | None = None) -> None:
        """The batch's answers at the lake's base time, of the first events that came (all)."""
        taken, base = self.events[:known], self.here.lake.at
        every = [one for one, _, _ in taken]
        found = batch_answers(self.catalogue, every, self.registered, persons=self.persons, base=base)
        values = {
            person: {name: value for name, given in found.items() if (value := given[person]) is not None}
            for person in range(self.persons)
            if person not in self.left_out
        }
        self.here.lake.refusals = "notes" if self.left_out else ""
        self.here.lake.publish(values)
        left_out = [{"person_no": one, "person_id": master_id(one), "tag": ""} for one in sorted(self.left_out)]
        self._write(TAG_REFUSED, left_out)
        self._write(EVENTS, [self._event(*one) for one in taken])
        self.write_members()
        self._write(TAG_VERSIONS, self._versions())
        self._write(TAG_TIMERS, self._timers(every, base))

    def write_members(self) -> None:
        """The register as it is now."""
        self._write(MEMBERS, [self._member(person, at) for person, at in self.registered.items()])

    def load(self) -> dict[str, Any]:
        """Load what is published, live tags as well."""
        with opened_lake(self.lake, memory_mb=256, scratch=self.here.folder, threads=1) as lake:
            return load(self.here.database, lake, WORKSPACE, live=OF_TESTS)

    def _event(self, one: Event, partition: int, offset: int) -> dict[str, Any]:
        row: dict[str, Any] = {"event_id": one.event_id, "source": "web", "name": one.name, "terminal": one.terminal}
        row |= {"occurred_at": one.at, "occurred_date": one.at.astimezone(UTC).date(), "received_at": one.at}
        row |= {"subject_type": "phone", "subject_scope": "", "subject_token": token(self.here.key_file, one.person)}
        origin = f"stream/{EVENTS_TOPIC.name}/{partition}"
        return row | {"authenticated": True, "properties": "{}", "origin": origin, "origin_position": offset}

    def _member(self, person: int, at: datetime) -> dict[str, Any]:
        row: dict[str, Any] = {"subject_type": "phone", "subject_scope": "", "registered_at": at, "valid_from": at}
        return row | {"subject_token": token(self.here.key_file, person), "origin": "m", "origin_position": person}

    def _versions(self) -> list[dict[str, Any]]:
        marks = {table.name: f"{DeltaTable(self._where(table)).version()}@x" for table in (EVENTS, MEMBERS)}
        return [
            {
                "tag": tag.name,
                "version": self.here.lake._version(tag.name),
                "rule_hash": tag.rule_hash,
                "watermark": json.dumps(marks),
                "definition": definition_text(tag),
                "head": definition_text(self.catalogue.head),
            }
            for tag in self.catalogue.tags
        ]

    def _timers(self, events: Sequence[Event], base: datetime) -> list[dict[str, Any]]:
        lives = [
            Life(self.registered.get(person), clicks=[one.click for one in events if one.person == person])
            for person in range(self.persons)
        ]
        waiting: dict[int, list[dict[str, Any]]] = {}
        for name, found in answers(self.catalogue, lives, moment(base, self.catalogue)).items():
            for person, (_, at) in found.items():
                if at != NEVER:
                    waiting.setdefault(person, []).append({"tag": name, "at": at})
        return [{"person_no": person, "next_change_at": base, "waiting": found} for person, found in waiting.items()]

    def _write(self, table: Table, rows: list[dict[str, Any]]) -> None:
        lake = self.here.lake
        shared = {"workspace_id": WORKSPACE, "snapshot_id": lake.snapshot_id, "base_at": lake.at}
        shared["generation"] = f"{lake.number:012d}-run"
        schema = pa.schema([(one.name, _ARROW[one.type]) for one in table.columns if one.type in _ARROW])
        made = pa.Table.from_pylist([shared | row for row in rows], schema=schema)
        where = Path(self._where(table))
        where.parent.mkdir(parents=True, exist_ok=True)
        write_deltalake(where, made, mode="overwrite", partition_by=list(table.partition_by) or None)

    def _where(self, table: Table) -> str:
        return f"{self.lake}/{table.schema_name}/{table.table_name}"


def message_of(one: Event, person_token: bytes) -> bytes:
    """The event as a collector sends it."""
    identifier = {"type": "phone", "scope": "", "token": person_token.hex(), "kid": "k1"}
    content = {"event_id": one.event_id, "workspace_id": WORKSPACE, "source": "web", "name": one.name}
    content |= {"occurred_at": one.at.isoformat(timespec="microseconds"), "identifiers": [identifier]}
    return json.dumps({**content, "touchpoint": {"terminal": one.terminal}, "properties": {"page": "1"}}).encode()


def token(key_file: Path, person: int) -> bytes:
    """The token of a person's phone."""
    return Tokeniser(load_root_keys(key_file)).token("phone", "", phone(person))
