"""The generator: members file, behaviour of the live months, truth. Deterministic: same input, same bytes.

The list of events is sorted in memory, which fits the demo's tens of thousands; persons are independent of each
other, so a larger company is made in partitions by number and sorted by whoever merges them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.company import people, truth
from bench.company.events import Event, Identifier, as_line
from bench.company.households import Household
from bench.company.people import Person
from bench.company.places import KIOSK
from bench.company.register import Entry, has_constant_phone, identifiers_on_record, write_members
from bench.company.visits import Purchase, events_of
from spark_jobs.contracts.identifiers import refusal

SILENT = 300
VISITORS = 400


@dataclass(frozen=True, slots=True)
class Plan:
    """`sample` is the share of the company that is made: households are given, the others follow it."""

    seed: int
    sample: float = 1.0


@dataclass(frozen=True, slots=True)
class Company:
    """Everybody, with what is real about them."""

    entries: tuple[Entry, ...]
    visitors: tuple[Person, ...]
    purchases: dict[int, tuple[Purchase, ...]]

    @property
    def persons(self) -> tuple[Person, ...]:
        """Members first, then visitors."""
        return (*(person for person, _ in self.entries), *self.visitors)


def people_of(plan: Plan, households: Iterable[Household]) -> Company:
    """Persons of the households, the silent members and the visitors."""
    entries: list[Entry] = []
    purchases: dict[int, tuple[Purchase, ...]] = {}
    for house in households:
        known = people.member(plan.seed, house.number, "household", first_purchase_at=house.first_purchase_at)
        entries.append((known, house.attributes))
        purchases[house.number] = house.purchases
    silent = range(people.FIRST_SILENT, people.FIRST_SILENT + round(SILENT * plan.sample))
    entries += [(people.member(plan.seed, number, "silent", first_purchase_at=None), {}) for number in silent]
    visitors = range(people.FIRST_VISITOR, people.FIRST_VISITOR + round(VISITORS * plan.sample))
    return Company(tuple(entries), tuple(people.visitor(plan.seed, number) for number in visitors), purchases)


def generate(plan: Plan, households: Iterable[Household], out: Path) -> dict[str, object]:
    """Write export/members.csv, live/behaviour.jsonl and truth/ under `out`; what was made, as counts."""
    company = people_of(plan, households)
    events = sorted(
        (
            event
            for person in company.persons
            for event in events_of(plan.seed, person, company.purchases.get(person.number, ()))
        ),
        key=lambda event: (event.occurred_at, event.event_id),
    )
    for folder in ("export", "live", "truth"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    rows = write_members(out / "export" / "members.csv", company.entries, seed=plan.seed)
    _write_behaviour(out / "live" / "behaviour.jsonl", events)
    counts = {"members_rows": rows, **_write_truth(plan, company, events, out / "truth"), **_event_counts(events)}
    text = json.dumps(counts, indent=2, sort_keys=True, ensure_ascii=False)
    (out / "truth" / "company.json").write_text(text + "\n", encoding="utf-8")
    return counts


def _write_behaviour(path: Path, events: Iterable[Event]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(as_line(event) + "\n" for event in events)


def _write_truth(plan: Plan, company: Company, events: Sequence[Event], folder: Path) -> dict[str, object]:
    evidence = truth.Evidence()
    shared = _shared_carriers(events)
    for person, _ in company.entries:
        evidence.add(person.name, identifiers_on_record(plan.seed, person), joins=True)
    for event in events:
        evidence.add(event.person, event.identifiers, joins=False)
        # What a shared device shows together proves nothing about the device, but all about the rest.
        exclusive = [identifier for identifier in event.identifiers if identifier not in shared]
        evidence.add(event.person, exclusive, joins=event.is_authenticated)
    owners = evidence.owners()
    types = truth.write_identifiers(folder / truth.IDENTIFIERS_FILE, evidence)
    return {
        "persons": dict(truth.write_persons(folder / truth.PERSONS_FILE, company.persons)),
        "identifiers": dict(types),
        "identifiers_shared": sum(len(persons) > 1 for persons in owners.values()),
        "events_by_stage": dict(truth.write_events(folder / truth.EVENTS_FILE, events)),
        "members_with_constant_phone": sum(has_constant_phone(plan.seed, person) for person, _ in company.entries),
        "openid_texts_in_two_apps": _texts_in_two_scopes(owners),
    }


def _shared_carriers(events: Iterable[Event]) -> set[Identifier]:
    users: dict[Identifier, set[str]] = {}
    for event in events:
        for identifier in event.identifiers:
            users.setdefault(identifier, set()).add(event.person)
    return {identifier for identifier, persons in users.items() if len(persons) > 1}


def _texts_in_two_scopes(identifiers: Iterable[Identifier]) -> int:
    texts = Counter(value for kind, _, value in identifiers if kind == "openid")
    return sum(count > 1 for count in texts.values())


def _event_counts(events: Sequence[Event]) -> dict[str, object]:
    refused = Counter(refusal(junk[0], junk[2]) or "not refused" for event in events for junk in event.junk)
    kiosk = ("device", "web", KIOSK)
    return {
        "events": len(events),
        "events_by_name": dict(Counter(event.name for event in events)),
        "kiosk_logins": len({e.person for e in events if e.name == "login" and kiosk in e.identifiers}),
        "refused_identifiers": dict(refused),
    }
