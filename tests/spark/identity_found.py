"""What a run of identity said and left, by the names that the stories use."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from spark_jobs.contracts.core import EVENTS
from spark_jobs.contracts.identity import IDENTIFIERS, IDENTITY_LINK_STATES, IDENTITY_MAP, PERSONS
from spark_jobs.people.resolve import with_person
from spark_jobs.people.system_time import newest_at
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import published_map, published_snapshot
from tests.spark.identity_rows import identifier


@dataclass(frozen=True)
class Found:
    """What a run said and left."""

    facts: dict[str, Any]
    people: dict[str, set[str]]  # person_id: identifiers that it holds for ever
    attributed: dict[str, str | None]  # event_id: person_id
    states: dict[tuple[str, str], str]  # names of both ends of a link: its state and reason
    survivors: dict[str, str]  # person_id: survivor_id
    first_seen: dict[str, Any]
    numbers: dict[str, set[Any]]

    def holder(self, name: str) -> str:
        """The person that holds `type:value` for ever; '' where nobody does."""
        return next((person for person, held in self.people.items() if named(name) in held), "")

    def states_of(self, *names: str) -> dict[str, int]:
        """How many links of these identifiers are in which state."""
        wanted = {named(name) for name in names}
        return dict(Counter(state for ends, state in self.states.items() if wanted & set(ends)))


def named(name: str) -> str:
    kind, scope, value, _ = identifier(name)
    return f"{kind}@{scope}/{value.hex()}"


def found(lake: Lake, facts: dict[str, Any]) -> Found:
    names = {
        row.identifier_no: (f"{row.type}@{row.scope}/{row.token.hex()}", row.first_seen_at)
        for row in delta.read(lake, IDENTIFIERS).collect()
    }
    people: dict[str, set[str]] = {}
    snapshot = published_snapshot(lake)
    identity_map = published_map(lake, snapshot)
    for row in identity_map.where("valid_from = TIMESTAMP '1900-01-01'").collect():
        people.setdefault(row.person_id, set()).add(names[row.identifier_no][0])
    rows = with_person(delta.read(lake, EVENTS), identity_map).collect()
    assert len(rows) == delta.read(lake, EVENTS).count()
    return Found(
        facts=facts,
        people=people,
        attributed={row.event_id: row.person_id for row in rows},
        states={
            (names[row.identifier_a][0], names[row.identifier_b][0]): f"{row.state}: {row.reason}"
            for row in delta.read(lake, IDENTITY_LINK_STATES).where("system_to IS NULL").collect()
        },
        survivors={
            row.person_id: row.survivor_id
            for row in newest_at(delta.read(lake, PERSONS), ["person_id"], snapshot.at_us).collect()
        },
        first_seen=dict(names.values()),
        numbers=numbers(lake),
    )


def numbers(lake: Lake) -> dict[str, set[Any]]:
    """Rows of the tables that give ids and numbers, without what differs from run to run."""
    return {
        table.name: set(
            delta.read(lake, table)
            .select(*[name for name in table.column_names if name not in ("run_id", "system_from")])
            .collect()
        )
        for table in (IDENTIFIERS, PERSONS, IDENTITY_MAP)
    }
