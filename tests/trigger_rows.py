"""Made-up definitions of triggers, carts and steps of orders, for the tests of triggers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from spark_jobs.contracts.derived import PERSON_TAGS, TAG_PUBLICATIONS, TAG_VERSIONS
from spark_jobs.storage.delta import Lake
from tests.tag_tables import ORIGIN, SNAPSHOT, Row, add, subject

CART: dict[str, Any] = {
    "trigger": "cart_24h",
    "title": {"en": "A cart", "zh": "购物车"},
    "owner": "tests",
    "class": "none",
    "source": "carts",
    "events": ["add_to_cart"],
    "cart_id": "cart_id",
    "cancelled_by": ["clear_cart"],
    "after": "24 hours",
    "expires": "4 days",
    "cap": {"most": 2, "days": 7},
    "quiet": {"since": "21:00", "until": "09:00"},
    "control": {"share": 0.1, "salt": "s"},
}
ORDER: dict[str, Any] = {
    **{key: value for key, value in CART.items() if key not in ("events", "cart_id", "quiet")},
    "trigger": "order_unpaid_2h",
    "source": "orders_unpaid",
    "cancelled_by": ["paid", "cancelled"],
    "after": "2 hours",
}


def write_triggers(folder: Path, *triggers: dict[str, Any], name: str = "") -> Path:
    """The folder with a file for each, named like it or `name`; None takes a key away."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in triggers:
        given = {key: value for key, value in one.items() if value is not None}
        path = folder / f"{name or one['trigger']}.yaml"
        path.write_text(yaml.safe_dump(given, allow_unicode=True), encoding="utf-8")
    return folder


def cart_event(person: int, cart: str, at: datetime, *, name: str = "add_to_cart", number: int = 0) -> Row:
    """A row of `core.events`: something put into a cart by a person's device; '' is an event without a cart's id."""
    when = {"occurred_at": at, "occurred_date": at.date(), "received_at": at}
    what = {"event_id": f"{name}/{person}/{cart}/{number}", "source": "web", "name": name}
    carried = {"properties": json.dumps({"cart_id": cart}), "identifiers": [], "authenticated": False}
    return {"workspace_id": "grocery", **what, **when, **subject("device", person), **carried, **ORIGIN}


def order_step(person: int, order: str, at: datetime, *, change: str = "created") -> Row:
    """A row of `core.order_changes`."""
    what = {"order_id": order, "store_id": "1", "change": change, "value": Decimal(0)}
    when = {"changed_at": at, "changed_date": at.date(), "received_at": at}
    return {"workspace_id": "grocery", **what, **subject("member_no", person), **when, **ORIGIN}


def says_refuse(lake: Lake, *persons: str) -> None:
    """A publication of tags whose only one, `refuses`, is true of these persons."""
    held = {"base_at": datetime(2018, 1, 3, tzinfo=UTC), "snapshot_id": SNAPSHOT, "workspace_id": "grocery"}
    mine = {**held, "tag": "refuses", "version": "v1"}
    told = [{**mine, "person_id": one, "person_no": 0, "value": "true", "generation": "g1"} for one in persons]
    add(lake, PERSON_TAGS, [*told, {**told[0], "person_id": "p7", "value": "unknown"}])
    definition = json.dumps({"Tag": {"rule": {"Rule": {"otherwise": "false"}}}})
    add(lake, TAG_VERSIONS, [{**mine, "rule_hash": "r", "watermark": "{}", "definition": definition}])
    counts = {"persons": 30, "rows": len(told) + 1, "changes": 0, "limits": "{}", "populations": "{}"}
    state = json.dumps({"tags": {"refuses": {"version": "v1"}}})
    number = {"number": 1, "kind": "current", "generation": "g1", "published_at": held["base_at"]}
    add(lake, TAG_PUBLICATIONS, [{**held, **counts, **number, "state": state}])


def merged_into(person: str, survivor: str) -> Row:
    """A row of `core.persons`: an id that resolves to another."""
    minted = {
        "person_no": 0,
        "seed_identifier_no": 1,
        "generation": 1,
        "first_seen_at": datetime(2018, 1, 1, tzinfo=UTC),
    }
    since = {"snapshot_id": SNAPSHOT, "system_from": datetime(2018, 1, 2, tzinfo=UTC)}
    return {"person_id": person, **minted, "survivor_id": survivor, **since}
