"""Rows of contracts for tests that write with Spark and read with Trino; the caller names what its test is about."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from spark_jobs.contracts.audiences import AUDIENCE_CHANGES, AUDIENCE_PUBLICATIONS
from spark_jobs.contracts.derived import TAG_CHANGES, TAG_PUBLICATIONS, TAG_REFUSED
from spark_jobs.contracts.schema import Table

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WORKSPACE = "grocery"

Identifier = tuple[str, str, bytes, str]


def event(
    event_id: str,
    occurred_at: datetime,
    *,
    token: bytes | None = None,
    properties: str | None = "{}",
    identifiers: list[Identifier] | None = None,
) -> tuple[Any, ...]:
    """A row of core.events."""
    subject = ("device", "web", token) if token else (None, None, None)
    return (
        *(WORKSPACE, event_id, "web", "page_view", occurred_at, occurred_at.date(), occurred_at, identifiers),
        *(*subject, False, None, "site", "pc", None, None, properties, "stream/t/0", 1),
    )


def held(
    token: bytes,
    since: datetime,
    until: datetime,
    person: str,
    *,
    system_from: datetime = EPOCH,
    system_to: datetime | None = None,
) -> tuple[Any, ...]:
    """A row of core.identity_map: a device of the web."""
    return (1, "device", "web", token, person, 1, since, until, system_from, system_to, "s1")


def person(person_id: str, survivor_id: str, *, system_from: datetime | None) -> tuple[Any, ...]:
    """A row of core.persons."""
    return (person_id, 1, 1, 1, EPOCH, survivor_id, "s1", system_from)


def row_of(table: Table, **given: object) -> tuple[Any, ...]:
    """A row of a table; what is not given is null where it may be, else empty, 1, or EPOCH."""
    usual = {"string": "", "bigint": 1, "int": 1, "boolean": True, "timestamp": EPOCH, "binary": b"t" * 16}
    values = {column.name: None if column.nullable else usual[column.type] for column in table.columns}
    return tuple({**values, **given}[name] for name in table.column_names)


def snapshot(published_at: datetime) -> tuple[Any, ...]:
    """A row of core.identity_snapshots."""
    return ("s1", published_at, "r", 1, 1, 1, "{}", "run", None)


def line(order_id: str, ordered_at: datetime, *, origin: str = "stream/t/0") -> tuple[Any, ...]:
    """A row of core.order_lines."""
    money = (Decimal("1.50"), Decimal(0), Decimal(0), Decimal(0))
    buyer = ("member_no", WORKSPACE, b"m" * 16)
    return (WORKSPACE, order_id, "product", "store", *buyer, ordered_at, ordered_at.date(), 1, *money, origin, 1)


def product(product_id: str, *, product_line: str | None = None) -> tuple[Any, ...]:
    """A row of core.products."""
    return (WORKSPACE, product_id, product_line, None, None, None, None, None, "migration/p", 1)


def tag_change(tag: str, number: int) -> tuple[Any, ...]:
    """A row of tags.changes of the workspace `classes`, recorded while nobody had declared a class."""
    values = {"workspace_id": "classes", "state_version": number, "tag": tag, "person_id": "p", "person_no": 1}
    values |= {"old_value": None, "new_value": "true", "cause": "events", "base_at": EPOCH, "version": "v"}
    values |= {"snapshot_id": "s1", "classes": "", "generation": f"g{number}"}
    return tuple(values[name] for name in TAG_CHANGES.column_names)


def refused_person(number: int, *, open_tag: str) -> tuple[Any, ...]:
    """A row of tags.refused of the workspace `classes`: its one person refuses as of a publication."""
    values = {"workspace_id": "classes", "person_id": "p", "person_no": 1, "tag": open_tag, "base_at": EPOCH}
    values |= {"snapshot_id": "s1", "generation": f"g{number}"}
    return tuple(values[name] for name in TAG_REFUSED.column_names)


def publication(number: int, published_at: datetime, **classes: str) -> tuple[Any, ...]:
    """A row of tags.publications of the workspace `classes`, with the classes of each tag."""
    state = {"tags": {name: {"version": "v", "classes": told} for name, told in classes.items()}}
    values = {"workspace_id": "classes", "generation": f"g{number}", "number": number, "kind": "current"}
    values |= {"base_at": EPOCH, "snapshot_id": "s1", "published_at": published_at, "persons": 1, "rows": 1}
    values |= {"changes": 1, "state": json.dumps(state), "limits": "{}", "populations": "{}", "refused": 0}
    return tuple(values[name] for name in TAG_PUBLICATIONS.column_names)


def audiences(number: int, **told: tuple[str, str]) -> tuple[Any, ...]:
    """A row of tags.audience_publications of the workspace `sets`; told: class and tag of each audience."""
    usual = {"persons": 1, "unknown": 0, "version": "v"}
    facts = {name: {**usual, "classes": classes, "tags": [tag]} for name, (classes, tag) in told.items()}
    given = {"workspace_id": "sets", "generation": f"a{number}", "number": number, "audiences": json.dumps(facts)}
    return row_of(AUDIENCE_PUBLICATIONS, **given)


def audience_change(audience: str, number: int, person_id: str) -> tuple[Any, ...]:
    """A row of tags.audience_changes of the workspace `sets`, recorded while nobody had declared a class."""
    given = {"workspace_id": "sets", "audience": audience, "state_version": number, "generation": f"a{number}"}
    return row_of(AUDIENCE_CHANGES, **given, person_id=person_id, classes="")
