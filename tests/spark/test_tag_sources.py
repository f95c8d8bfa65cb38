"""Sources and filters that Spark projects: steps of orders, shares, values from outside, properties, hours."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.journeys import GIVEN_VALUES, ORDER_CHANGES, SHARE_ORDERS, SHARES
from spark_jobs.contracts.tables import table_named
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging.computing import answers_from
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.facts import facts_of
from spark_jobs.tagging.plan import compile_plan
from spark_jobs.tagging.versions import tables_read
from tests.tag_histories import HEAD, Click, Life, Order, catalogue_of, definition, local, moment
from tests.tag_tables import ORIGIN, Row, add, event_row, line_rows, order_row, subject, write_lives

pytestmark = pytest.mark.thorough

BASE = local("2018-01-01T00:00")
SINCE = local("2017-02-01T00:00")
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
WIDE = {
    **HEAD,
    "imported": ["tier"],
    "scores": ["churn"],
    "properties": {"price": {"type": "number", "decimals": 2}, "page": {"type": "text"}},
}


def tag(name: str, measure: dict[str, object], **when: object) -> dict[str, object]:
    return definition(name, measures={"x": measure}, levels=[{"value": "true", "when": {"x": when}}])


TAGS = (
    tag("unpaid", {"first": "orders_unpaid", "window": "7 days"}, older_than="24 hours"),
    tag("refunded", {"sum": "refunds.value", "where": {"value": {"above": 1}}}, at_least=9.5),
    tag("sharer", {"count": "shares", "where": {"channel": {"not_in": ["poster"]}}}, at_least=1),
    tag("brings", {"count": "share_orders", "where": {"is_first_order": "true"}}, at_least=1),
    tag("gold", {"imported": "tier"}, equals="gold"),
    tag("leaving", {"score": "churn"}, at_least=0.7),
    tag(
        "dear", {"count": "events", "where": {"price": {"at_least": 20, "below": 30}}, "window": "36 hours"}, at_least=2
    ),
    tag("spent", {"sum": "events.price", "where": {"page": {"present": True}}}, at_least=40.01),
    tag("large", {"count": "purchase_lines", "where": {"sales_value": {"at_least": 5}}}, at_least=2),
)


def change(person: int, order: str, what: str, at: datetime, *, value: str = "10.00") -> Row:
    key = {"workspace_id": "grocery", "order_id": order, "store_id": "1", **subject("member_no", person)}
    when = {"changed_at": at, "changed_date": at.date(), "received_at": at}
    return {**key, "change": what, "value": Decimal(value), **when, **ORIGIN}


def share(person: int, number: str, channel: str) -> Row:
    what = {"workspace_id": "grocery", "share_id": number, "object_type": "product", "channel": channel}
    return {**what, **subject("member_no", person), "shared_at": SINCE, "shared_date": SINCE.date(), **ORIGIN}


def brought(person: int, number: str, *, is_first: bool) -> Row:
    key = {"workspace_id": "grocery", "share_id": number, "order_id": number, "store_id": "1"}
    what = {"sales_value": Decimal(5), "is_first_order": is_first, "ordered_at": SINCE, "ordered_date": SINCE.date()}
    return {**key, **subject("member_no", person), **what, **ORIGIN}


def said(person: int, what: tuple[str, str], value: str, at: datetime = SINCE, *, until: datetime | None = None) -> Row:
    row = {"workspace_id": "grocery", "kind": what[0], "name": what[1], "value": value, "given_by": "test"}
    return {**row, **subject("member_no", person), "valid_from": at, "valid_to": until, **ORIGIN}


def viewed(person: int, number: int, at: datetime, properties: object) -> Row:
    return event_row(person, 100 + number, Click(at)) | {"properties": json.dumps(properties)}


def write(lake: Lake) -> None:
    lines = (("A", 500), ("B", 499), ("C", 700))
    # Two lines of one order share its day, its order and all texts, and yet only one of them is large.
    orders = {0: [Order(SINCE + DAY, lines=lines)], 1: [Order(SINCE + DAY, lines=lines[:2])]}
    write_lives(lake, {person: Life(SINCE, orders.get(person, [])) for person in range(3)})
    two_days = BASE - 2 * DAY
    add(
        lake,
        ORDER_CHANGES,
        [
            change(0, "open", "created", two_days),
            change(0, "paid", "created", BASE - 3 * DAY),
            change(0, "paid", "paid", BASE - 3 * DAY + HOUR),
            change(1, "paid", "created", two_days),
            change(1, "paid", "paid", two_days + HOUR),
            change(1, "new", "created", BASE - 24 * HOUR),
            change(2, "late", "created", two_days),
            change(2, "late", "cancelled", BASE + HOUR),
            change(0, "paid", "refunded", BASE - DAY, value="9.00"),
            change(0, "paid", "refunded", BASE - HOUR, value="1.00"),
            change(1, "paid", "refunded", BASE - DAY, value="9.50"),
        ],
    )
    write_rest(lake)


def write_rest(lake: Lake) -> None:
    add(lake, SHARES, [share(0, "s1", "poster"), share(1, "s2", "chat")])
    add(lake, SHARE_ORDERS, [brought(0, "s1", is_first=True), brought(1, "s2", is_first=False)])
    churn, tier = ("score", "churn"), ("imported", "tier")
    given = [
        said(0, churn, "0.7"),
        said(1, churn, "0.69994"),
        said(2, churn, "high"),
        said(2, tier, "gold", until=BASE),
    ]
    given += [said(1, tier, "silver"), said(1, tier, "gold", SINCE + DAY), said(0, ("imported", "rank"), "gold")]
    add(lake, GIVEN_VALUES, given)
    edge = BASE - 36 * HOUR
    views: list[tuple[int, datetime, object]] = [
        (0, edge, {"price": 20}),
        (0, BASE - HOUR, {"price": "29.99"}),
        (1, edge - timedelta(microseconds=1), {"price": 20}),
        (1, BASE - HOUR, {"price": 25.0}),
        (2, BASE - HOUR, {"price": 30}),
        (2, BASE - HOUR, {"price": "cheap", "page": "/"}),
        (2, BASE - HOUR, {"price": -5, "page": "/"}),
        (2, BASE - HOUR, {"price": 40.005, "page": "/"}),
        (1, BASE - HOUR, {"price": 40, "page": ""}),
    ]
    add(lake, EVENTS, [viewed(person, n, at, properties) for n, (person, at, properties) in enumerate(views)])


def answered(lake: Lake, catalogue: Catalogue) -> dict[str, set[int]]:
    """Tag to the persons who have it."""
    plan, at = compile_plan(catalogue), moment(BASE, catalogue)
    tables = {name: delta.read(lake, table_named(name)) for name in tables_read(plan.sources)}
    facts = facts_of(tables, plan, at, workspace="grocery")
    found: dict[str, set[int]] = {one.name: set() for one in catalogue.tags}
    for row in answers_from(facts, plan, at, {}).where("tag >= 0").collect():
        assert row["value"] == "true", row
        found[catalogue.tags[row["tag"]].name].add(row["person_no"])
    return found


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory) -> Iterator[Lake]:
    made = Lake(spark, str(tmp_path_factory.mktemp("sources") / "lake"))
    write(made)
    yield made
    spark.catalog.clearCache()


def test_who_has_what(lake: Lake, tmp_path: Path) -> None:
    assert answered(lake, catalogue_of(tmp_path, *TAGS, head=WIDE)) == {
        "unpaid": {0, 2},
        "refunded": {1},
        "sharer": {1},
        "brings": {0},
        "gold": {1},
        "leaving": {0},
        "dear": {0},
        "spent": {2},
        "large": {0},
    }


def test_a_line_counts_though_its_order_began_before_the_window(lake: Lake, tmp_path: Path) -> None:
    """An order is of the moment of its first line; a later line may lie in a window that begins between them."""
    begins = BASE - 30 * DAY
    order = Order(begins + HOUR, lines=(("D", 1),))
    add(lake, ORDER_LINES, list(line_rows(1, 7, order)))
    add(lake, ORDERS, [order_row(1, 7, replace(order, at=begins - HOUR))])
    lately = tag("lately", {"count": "purchase_lines", "window": "30 days"}, at_least=1)
    assert answered(lake, catalogue_of(tmp_path, lately)) == {"lately": {1}}
