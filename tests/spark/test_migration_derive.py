"""Derive: orders and purchase events are what the migrated lines say, whatever became of these, and verify sees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import yaml
from pyspark.sql import functions as F

from migration.copying import copy_all
from migration.deriving import Changed, derive
from migration.healing import heal
from migration.requeueing import requeue
from migration.settling import settle
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.events import purchase_event_id
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.ingest.purchases import PAID, orders_from_lines, purchase_events
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction
from tests.migration_files import TOUCHPOINT, OldSystem, line, old_system, planned

BASKETS = ("1", "2", "3")


@pytest.fixture
def old(tmp_path) -> OldSystem:
    """Three baskets of a line each; the mapping refuses a further line of the first, which is below zero."""
    system = old_system(tmp_path / "old", derive=TOUCHPOINT)
    system.put("a", [line(1), line(1, 2, sales_value="-1.00", transaction_timestamp="2017-01-01 09:00:00"), line(2)])
    system.put("b", [line(3)])
    return system


@pytest.fixture
def work(old, lake, key_file) -> Iterator[Work]:
    """Copied and settled."""
    with planned(old, lake, key_file) as ready:
        copy_all(ready)
        settle(ready.lake, ORDER_LINES, run_id=ready.run_id)
        yield ready


def rows(work: Work, table: Table) -> set[tuple[object, ...]]:
    found = [tuple(map(str, row)) for row in delta.read(work.lake, table).collect()]
    assert len(found) == len(set(found))
    return set(found)


def as_lines_say(work: Work) -> None:
    """Both tables hold what a fresh derivation from all lines gives, and nothing else."""
    orders = orders_from_lines(delta.read(work.lake, ORDER_LINES))
    for table, wanted in ((ORDERS, orders), (EVENTS, purchase_events(orders, **TOUCHPOINT))):
        assert {tuple(map(str, row)) for row in delta.conform(wanted, table).collect()} == rows(work, table)


def change(work: Work, statement: str) -> None:
    """Change lines or orders behind the migration's back."""
    names = {name: f"delta.`{work.lake.path_of(t)}`" for name, t in (("lines", ORDER_LINES), ("orders", ORDERS))}
    work.lake.spark.sql(statement.format(**names))


def test_history_becomes_orders_and_purchase_events_beside_the_stream_s(work) -> None:
    seam = delta.read(work.lake, ORDER_LINES).where(F.col("order_id") == "3")
    live = orders_from_lines(seam.withColumn("origin", F.lit("stream/databank.events/0")))
    delta.append(live, work.lake, ORDERS, once=Transaction("stream", 1))
    delta.append(purchase_events(live, app="x", terminal="y"), work.lake, EVENTS, once=Transaction("stream", 1))
    found = derive(work)
    assert (found.orders, found.rows, found.replaced) == (3, Changed(inserted=6), 2)
    as_lines_say(work)
    assert {row.event_id for row in delta.read(work.lake, EVENTS).collect()} == {
        purchase_event_id("grocery", basket, "330") for basket in BASKETS
    }
    versions = [delta.current_version(work.lake, table) for table in (ORDERS, EVENTS)]
    assert derive(work).rows == Changed()
    assert [delta.current_version(work.lake, table) for table in (ORDERS, EVENTS)] == versions


@pytest.mark.thorough
def test_an_order_that_history_itself_brought_is_not_derived_beside_it(work) -> None:
    lines = delta.read(work.lake, ORDER_LINES).where("order_id = '3'")
    brought = orders_from_lines(lines).withColumns({"origin": F.lit("migration/core.orders/a"), "status": F.lit("x")})
    delta.append(brought, work.lake, ORDERS, once=Transaction("history", 1))
    assert derive(work).rows == Changed(inserted=5)
    assert {row.order_id: row.status for row in delta.read(work.lake, ORDERS).collect()} == {
        **dict.fromkeys(BASKETS, PAID),
        "3": "x",
    }
    verify_table(work, work.mappings[0])


@pytest.mark.thorough
def test_a_requeued_line_of_a_derived_order_is_in_its_sums(work, old) -> None:
    with pytest.raises(TerminalError, match=r"core\.orders: 3 missing"):
        verify_table(work, work.mappings[0])
    derive(work)
    verify_table(work, work.mappings[0])
    mapping = old.folder / "order_lines.yaml"
    given = yaml.safe_load(mapping.read_text())
    del given["columns"]["sales_value"]["min"]
    mapping.write_text(yaml.safe_dump(given))
    mended = replace(work, job=old.job())
    heal(mended, ORDER_LINES, may_mend=True)
    assert requeue(mended).good == 1
    with pytest.raises(
        TerminalError, match=r"core\.orders: 1 differ\n  core\.events: 1 differ\nrun `migration derive`"
    ):
        verify_table(mended, mended.mappings[0])
    assert derive(mended).rows == Changed(updated=2)
    as_lines_say(mended)
    (first,) = delta.read(work.lake, ORDERS).where("order_id = '1'").collect()
    assert (first["lines"], str(first["sales_value"]), first["ordered_at"].hour) == (2, "0.50", 9)
    verify_table(mended, mended.mappings[0])


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("damage", "wanted"),
    [
        pytest.param("DELETE FROM {lines} WHERE order_id = '3'", Changed(deleted=2), id="an order lost its lines"),
        pytest.param(
            "UPDATE {lines} SET ordered_at = ordered_at - INTERVAL 40 DAYS, ordered_date = ordered_date - 40 "
            "WHERE order_id = '3'",
            Changed(updated=2),
            id="another day",
        ),
        pytest.param("UPDATE {orders} SET quantity = 9 WHERE order_id = '3'", Changed(updated=1), id="a wrong sum"),
        pytest.param(
            "INSERT INTO {orders} SELECT * FROM {orders} WHERE order_id = '3'",
            Changed(updated=1, deleted=1),
            id="an order twice",
        ),
        pytest.param("DELETE FROM {lines}", Changed(deleted=6), id="no line is left"),
    ],
)
def test_derived_rows_become_what_the_lines_say(work, damage, wanted) -> None:
    derive(work)
    change(work, damage)
    assert derive(work).rows == wanted
    as_lines_say(work)
