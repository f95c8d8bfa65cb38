"""Made-up persons as rows of the core tables and the identity map, for the tests that start Spark."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from pyspark.sql import DataFrame

from spark_jobs.contracts.core import (
    CAMPAIGN_TARGETS,
    CAMPAIGNS,
    COUPON_REDEMPTIONS,
    EVENTS,
    MEMBERS,
    ORDER_LINES,
    ORDERS,
    PRODUCTS,
)
from spark_jobs.contracts.identity import IDENTITY_MAP, IDENTITY_SNAPSHOTS
from spark_jobs.contracts.schema import Table
from spark_jobs.settings import Settings, SparkSettings, Workspace
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction
from tests.tag_histories import COMPLETE_SINCE, NEW_YORK, Click, Life, Order

EVER = datetime(1900, 1, 1, tzinfo=UTC)
FOR_EVER = datetime(9999, 12, 30, tzinfo=UTC)
ORIGIN = {"origin": "test", "origin_position": 0}
SNAPSHOT = "snapshot-1"

Row = dict[str, object]


def token(kind: str, person: int) -> bytes:
    return hashlib.sha256(f"{kind}/{person}".encode()).digest()[:16]


def subject(kind: str, person: int) -> Row:
    return {"subject_type": kind, "subject_scope": "test", "subject_token": token(kind, person)}


def settings_of(lake: Lake) -> Settings:
    workspaces = tuple(Workspace(name, NEW_YORK, COMPLETE_SINCE) for name in ("grocery", "toys"))
    return Settings(lake.root, "", "", "", Path("key"), SparkSettings("", 0, "", ()), workspaces)


def frame(lake: Lake, table: Table, rows: list[Row]) -> DataFrame:
    full = [tuple(row.get(name) for name in table.column_names) for row in rows]
    return lake.spark.createDataFrame(full, table.ddl).coalesce(1)


def add(lake: Lake, table: Table, rows: list[Row]) -> None:
    delta.ensure(lake, table)
    if rows:
        once = Transaction(f"test/{json.dumps(rows, default=str, sort_keys=True)}", 1)
        delta.append(frame(lake, table, rows), lake, table, once=once)


def write_lives(lake: Lake, lives: dict[int, Life], *, device_since: datetime = EVER) -> None:
    """All tables that the shipped catalogue reads; every person holds a member number and a device."""
    add(lake, MEMBERS, [member(person, life) for person, life in lives.items() if life.registered_at])
    orders = [(person, number, o) for person, life in lives.items() for number, o in enumerate(life.orders)]
    add(lake, ORDERS, [order_row(*given) for given in orders])
    add(lake, ORDER_LINES, [row for given in orders for row in line_rows(*given)])
    clicks = [(person, number, c) for person, life in lives.items() for number, c in enumerate(life.clicks)]
    add(lake, EVENTS, [event_row(*given) for given in clicks])
    named = sorted({line for life in lives.values() for o in life.orders for line, _ in o.lines})
    add(lake, PRODUCTS, [{"workspace_id": "grocery", "product_id": n, "product_line": n, **ORIGIN} for n in named])
    for table in (CAMPAIGNS, CAMPAIGN_TARGETS, COUPON_REDEMPTIONS):
        add(lake, table, [])
    add(lake, IDENTITY_MAP, [row for person in lives for row in map_rows(person, device_since)])
    add(lake, IDENTITY_SNAPSHOTS, [snapshot(SNAPSHOT, datetime(2018, 1, 2, tzinfo=UTC))])


def member(person: int, life: Life) -> Row:
    since = life.registered_at
    record = {"registered_at": since, "valid_from": since, "attributes": json.dumps(life.attributes)}
    return {"workspace_id": "grocery", **subject("member_no", person), **record, "identifiers": [], **ORIGIN}


def order_row(person: int, number: int, order: Order) -> Row:
    return {
        **_order(person, number, order),
        "status": order.status,
        "lines": len(order.lines),
        "quantity": 1,
        "sales_value": _money(order.cents),
        "discount_value": _money(0),
        "refunded_value": _money(order.refunded),
        "event_id": f"o{person}/{number}",
    }


def line_rows(person: int, number: int, order: Order) -> Iterator[Row]:
    values: dict[str, int] = {}
    for line, cents in order.lines:  # a product is one line of its order
        values[line] = values.get(line, 0) + cents
    for line, cents in values.items():
        discounts = dict.fromkeys(("retail_disc", "coupon_disc", "coupon_match_disc"), _money(0))
        numbers = {"quantity": 1, "sales_value": _money(cents), **discounts}
        yield {**_order(person, number, order), "product_id": line, **numbers}


def _order(person: int, number: int, order: Order) -> Row:
    where = {"workspace_id": order.workspace, "order_id": f"{person}/{number}", "store_id": order.store}
    return {**where, **subject(order.by, person), "ordered_at": order.at, "ordered_date": order.at.date(), **ORIGIN}


def event_row(person: int, number: int, click: Click) -> Row:
    when = {"occurred_at": click.at, "occurred_date": click.at.date(), "received_at": click.at}
    what = {"event_id": f"e{person}/{number}", "source": "web", "name": click.name, "terminal": click.terminal}
    return {
        "workspace_id": "grocery",
        **what,
        **when,
        **subject("device", person),
        "identifiers": [],
        "authenticated": False,
        **ORIGIN,
    }


def map_rows(person: int, device_since: datetime) -> Iterator[Row]:
    for number, (kind, since) in enumerate((("member_no", EVER), ("device", device_since))):
        yield {
            "identifier_no": person * 2 + number,
            "type": kind,
            "scope": "test",
            "token": token(kind, person),
            "person_id": f"p{person}",
            "person_no": person,
            "valid_from": since,
            "valid_to": FOR_EVER,
            "system_from": datetime(2018, 1, 2, tzinfo=UTC),
            "snapshot_id": SNAPSHOT,
        }


def snapshot(name: str, published_at: datetime) -> Row:
    counts = {"identifiers": 1, "links": 1, "persons": 1}
    return {
        "snapshot_id": name,
        "published_at": published_at,
        "rule_version": "r",
        **counts,
        "certificate": "{}",
        "run_id": "r",
    }


def _money(cents: int) -> Decimal:
    return Decimal(cents) / 100
