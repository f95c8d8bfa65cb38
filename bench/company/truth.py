"""The truth: who owns each identifier, who did each event, and what the data could prove at best.

An identifier that nobody ever logged in with cannot be joined by anyone. So each identifier carries an evidence
group: identifiers of one person that authenticated events or the members file connect have the same group.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bench.company.events import Event, Identifier
from bench.company.people import Person

IDENTIFIERS_FILE = "identifiers.parquet"
EVENTS_FILE = "events.parquet"
PERSONS_FILE = "persons.parquet"
CARRIERS = ("device", "openid")


class Evidence:
    """Union-find over identifiers of one person each; nothing joins two persons."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._parent: dict[tuple[str, Identifier], tuple[str, Identifier]] = {}

    def add(self, person: str, identifiers: Sequence[Identifier], *, joins: bool) -> None:
        """Note that the person has these; where `joins`, that one record shows them together."""
        nodes = [(person, identifier) for identifier in identifiers]
        for node in nodes:
            self._parent.setdefault(node, node)
        if joins:
            for node in nodes[1:]:
                self._parent[self._root(node)] = self._root(nodes[0])

    def _root(self, node: tuple[str, Identifier]) -> tuple[str, Identifier]:
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def owners(self) -> dict[Identifier, set[str]]:
        """The persons who have each identifier."""
        found: defaultdict[Identifier, set[str]] = defaultdict(set)
        for person, identifier in self._parent:
            found[identifier].add(person)
        return found

    def groups(self) -> dict[tuple[str, Identifier], int]:
        """A number for each (person, identifier): equal within a person where the data connects them."""
        numbers: dict[tuple[str, Identifier], int] = {}
        return {node: numbers.setdefault(self._root(node), len(numbers)) for node in sorted(self._parent)}


def carrier_of(event: Event) -> Identifier:
    """The device or WeChat app by which an event came."""
    return next(identifier for identifier in event.identifiers if identifier[0] in CARRIERS)


def stages(events: Sequence[Event]) -> list[str]:
    """What could be known of each event: authenticated, shared, before_login, after_login or never_logged_in.

    `shared` is anonymous on a device of several persons: it should stay anonymous.
    """
    users: defaultdict[Identifier, set[str]] = defaultdict(set)
    first_last: dict[Identifier, tuple[datetime, datetime]] = {}
    for event in events:
        carrier = carrier_of(event)
        users[carrier].add(event.person)
        if event.is_authenticated:
            first, last = first_last.get(carrier, (event.occurred_at, event.occurred_at))
            first_last[carrier] = (min(first, event.occurred_at), max(last, event.occurred_at))
    return [_stage(event, len(users[carrier_of(event)]), first_last.get(carrier_of(event))) for event in events]


def _stage(event: Event, users: int, logged_in: tuple[datetime, datetime] | None) -> str:
    if event.is_authenticated:
        return "authenticated"
    if users > 1:
        return "shared"
    if logged_in is None:
        return "never_logged_in"
    return "before_login" if event.occurred_at <= logged_in[1] else "after_login"


def write_identifiers(path: Path, evidence: Evidence) -> Counter[str]:
    """One row per identifier and owner: type, scope, value, person, owners, evidence_group. Out: rows by type."""
    owners = evidence.owners()
    rows = [(*identifier, person, group) for (person, identifier), group in evidence.groups().items()]
    table = pa.table(
        {
            "type": pa.array([row[0] for row in rows], pa.string()),
            "scope": pa.array([row[1] for row in rows], pa.string()),
            "value": pa.array([row[2] for row in rows], pa.string()),
            "person": pa.array([row[3] for row in rows], pa.string()),
            "owners": pa.array([len(owners[row[0], row[1], row[2]]) for row in rows], pa.int32()),
            "evidence_group": pa.array([row[4] for row in rows], pa.int64()),
        }
    )
    pq.write_table(table, path, compression="zstd")
    return Counter(identifier[0] for identifier in owners)


def write_events(path: Path, events: Sequence[Event]) -> Counter[str]:
    """One row per event: event_id, person, name, occurred_at, stage. Out: events by stage."""
    found = stages(events)
    table = pa.table(
        {
            "event_id": pa.array([event.event_id for event in events], pa.string()),
            "person": pa.array([event.person for event in events], pa.string()),
            "name": pa.array([event.name for event in events], pa.string()),
            "occurred_at": pa.array([event.occurred_at for event in events], pa.timestamp("us", "UTC")),
            "stage": pa.array(found, pa.string()),
        }
    )
    pq.write_table(table, path, compression="zstd")
    return Counter(found)


def write_persons(path: Path, persons: Iterable[Person]) -> Counter[str]:
    """One row per person: person, kind, registered_at. Out: persons by kind."""
    listed = list(persons)
    table = pa.table(
        {
            "person": pa.array([person.name for person in listed], pa.string()),
            "kind": pa.array([person.kind for person in listed], pa.string()),
            "registered_at": pa.array([person.registered_at for person in listed], pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(table, path, compression="zstd")
    return Counter(person.kind for person in listed)
