"""The gate before a switch: all that the two bodies read is as it was proved and compared, derived tables as well."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pyspark.sql import functions as F

from migration.commits import derive_facts
from migration.deriving import derive
from migration.gate import check_green, verified_versions
from migration.jobfile import Switch, Touchpoint
from migration.questions import Question
from migration.shadowing import shadow
from migration.verifying import verify_table
from migration.views import Body
from migration.work import Work
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS, PRODUCTS
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.delta import Transaction
from spark_jobs.storage.upserts import upsert
from tests.migration_files import TOUCHPOINT
from tests.settled_history import chunks
from trino_catalog.connection import Trino

pytestmark = pytest.mark.thorough


class Silent:
    """Both sides answer nothing; stands in for Trino's connection and cursor."""

    description = ()

    def cursor(self) -> Silent:
        return self

    def execute(self, _sql: str) -> Silent:
        return self

    def fetchall(self) -> list[tuple[object, ...]]:
        return []


@pytest.fixture
def work(at_rest: Work) -> Work:
    """Verified; the new body reads what is derived, and a table that the migration has nothing to do with."""
    bodies = [Body("new", "SELECT 1 FROM lake.core.orders, lake.core.products"), Body("old", "SELECT 1")]
    job = replace(
        at_rest.job,
        derive=Touchpoint(**TOUCHPOINT),
        switch=Switch("sales.purchases", *bodies),
        questions=(Question("orders", "SELECT 1 FROM purchases"),),
    )
    ready = replace(at_rest, job=job)
    derive(ready)
    verify_table(ready, ready.mappings[0])
    return ready


def put(work: Work, order_id: str, *, origin: str, live: int = 0) -> None:
    """Another order beside those that are there, by `derive` or by the live stream."""
    one = delta.read(work.lake, ORDERS).limit(1)
    row = one.withColumns({"order_id": F.lit(order_id), "origin": F.lit(origin)})
    if live:
        delta.append(row, work.lake, ORDERS, once=Transaction("stream", live))
    else:
        with Append(work.lake, ORDERS) as transaction:
            transaction.write(row)
            transaction.commit(facts=derive_facts(work.plan.plan_id, work.job.name, {}, run_id="another"))


def test_what_was_derived_or_read_must_be_as_it_was_compared(work) -> None:
    versions = verified_versions(work)
    assert sorted(versions) == sorted(table.name for table in (ORDER_LINES, ORDERS, EVENTS))
    delta.ensure(work.lake, PRODUCTS)
    shadow(work, Trino("", Silent()), versions=versions)
    put(work, "live", origin="stream/t/0", live=1)
    assert check_green(work) == versions
    values = dict.fromkeys(PRODUCTS.column_names) | {"workspace_id": "grocery", "product_id": "p"}
    values |= {"origin": "x", "origin_position": 1}
    row = work.lake.spark.createDataFrame([tuple(values.values())], PRODUCTS.ddl)
    upsert(row, work.lake, PRODUCTS, updated=["category"])
    with pytest.raises(TerminalError, match=r"before what the views read was changed: core\.products: 1 merges"):
        check_green(work)
    shadow(work, Trino("", Silent()), versions=versions)
    check_green(work)
    put(work, "of history", origin=chunks(work)[0].origin)
    with pytest.raises(
        TerminalError, match=r"core\.orders was changed after it was verified .*: 1 commits of a migration; nothing was"
    ):
        check_green(work)
