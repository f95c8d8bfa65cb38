"""Builders of events and members for tests of identity and sessions: a test names only what it is about."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES
from spark_jobs.contracts.identity import IDENTIFIERS, IDENTITY_HOMES, IDENTITY_LINK_STATES, IDENTITY_LINKS, PERSONS
from spark_jobs.people.system_time import known_at, newest_at
from spark_jobs.settings import Settings, SparkSettings, Workspace
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.snapshots import published_map, published_snapshot

NOON = datetime(2017, 11, 1, 12, tzinfo=UTC)
SCOPES = {"member_no": "grocery", "login": "shop", "device": "web", "cookie": "site", "unionid": "wx", "openid": "app1"}


def token(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def identifier(text: str) -> tuple[str, str, bytes, str]:
    """`type:value` or `type@scope:value`."""
    kind, value = text.split(":")
    name, _, scope = kind.partition("@")
    return name, scope or SCOPES.get(name, ""), token(text if scope else f"{name}:{value}"), "k1"


def strongest(identifiers: list[tuple[str, str, bytes, str]]) -> tuple[str | None, str | None, bytes | None]:
    if not identifiers:
        return None, None, None
    return min(identifiers, key=lambda i: (IDENTIFIER_TYPES[i[0]].priority, i[1], i[2]))[:3]


def event(event_id: str, minutes: float, *names: str, **changed: Any) -> tuple[Any, ...]:
    """An event `minutes` after noon that carries the identifiers; authenticated unless said otherwise."""
    identifiers = [identifier(name) for name in names]
    kind, scope, value = strongest(identifiers)
    at = NOON + timedelta(minutes=minutes)
    row = {
        "workspace_id": "grocery", "event_id": event_id, "source": "web", "name": "page_view", "occurred_at": at,
        "occurred_date": at.date(), "received_at": at, "identifiers": identifiers, "subject_type": kind,
        "subject_scope": scope, "subject_token": value, "authenticated": True, "session_key": None, "app": "shop",
        "terminal": "pc", "channel": None, "campaign": None, "properties": "{}", "origin": "test", "origin_position": 0,
    }  # fmt: skip
    return tuple({**row, **changed}[name] for name in EVENTS.column_names)


def member(number: str, minutes: float, *names: str) -> tuple[Any, ...]:
    identifiers = [identifier(f"member_no:{number}"), *[identifier(name) for name in names]]
    kind, scope, value = strongest(identifiers)
    at = NOON + timedelta(minutes=minutes)
    return ("grocery", kind, scope, value, at, identifiers, "{}", at, None, "migration/members/0", int(minutes))


def put(lake: Lake, events: list[tuple[Any, ...]], members: list[tuple[Any, ...]] | None = None) -> None:
    """Append to core.events and core.members."""
    for table, rows in ((EVENTS, events), (MEMBERS, members or [])):
        delta.ensure(lake, table)
        if rows:
            version = delta.current_version(lake, table) + 1
            frame = lake.spark.createDataFrame(rows, table.ddl)
            delta.append(frame, lake, table, once=Transaction("test", version))


def decide_apart(lake: Lake, *pairs: tuple[str, str]) -> None:
    """Write into the ledger that the two of each pair are not one person."""
    numbers = {row.token: row.identifier_no for row in delta.read(lake, IDENTIFIERS).collect()}
    rows = []
    for names in pairs:
        a, b = sorted(numbers[identifier(name)[2]] for name in names)
        said = ("person", "-".join(names), 1, NOON, NOON, "a reviewer", "two people", "r", "manual")
        rows.append((f"apart {a} {b}", a, b, "negative", True, *said))
    frame = lake.spark.createDataFrame(rows, IDENTITY_LINKS.ddl)
    delta.append(frame, lake, IDENTITY_LINKS, once=Transaction(f"decisions {pairs}", 1))


def settings(lake: Lake) -> Settings:
    workspace = Workspace("grocery", ZoneInfo("America/New_York"), date(2017, 1, 1))
    spark = SparkSettings("local[2]", 1024, "unused", ())
    return Settings(lake.root, "", "", "", Path("unused"), spark, (workspace,))


def resolve(lake: Lake, **given: Any) -> dict[str, Any]:
    """Run the identity job."""
    from spark_jobs.identity import job
    from spark_jobs.identity.components import ROOT_LINK_BUDGET

    args = Namespace(**{"rebuild": False, "rules": None, "root_link_budget": ROOT_LINK_BUDGET, **given})
    return job.run(lake.spark, settings(lake), args)


def seen_by_readers(lake: Lake) -> dict[str, set[Any]]:
    """What readers see of the newest snapshot, without the moments and numbers of runs, which differ."""
    snapshot = published_snapshot(lake)
    names = delta.read(lake, IDENTIFIERS).select("identifier_no", "token")
    homes = newest_at(delta.read(lake, IDENTITY_HOMES), ["identifier_no"], snapshot.at_us)
    states = known_at(delta.read(lake, IDENTITY_LINK_STATES), snapshot.at_us)
    persons = newest_at(delta.read(lake, PERSONS), ["person_id"], snapshot.at_us)
    frames = {
        "map": published_map(lake, snapshot).drop("identifier_no", "system_from", "snapshot_id"),
        "persons": persons.select("person_id", "person_no", "survivor_id"),
        "homes": homes.join(names, on="identifier_no").select("token", "person_id"),
        "states": states.groupBy("state", "reason").count(),
    }
    return {name: {tuple(row) for row in rows.collect()} for name, rows in frames.items()}
