"""Tables of an earlier release get the columns that came into their contracts since."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from spark_jobs.contracts.schema import Column, Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction

NOW = Table(
    name="core.things",
    grain="one thing",
    key=("thing",),
    columns=(
        Column("shelf", "string", "where it lies"),
        Column("thing", "bigint", "its number", nullable=False),
        Column("weighed_at", "timestamp", "when, UTC"),
        Column("labels", "array<struct<type:string,token:binary>>", "what stands on it"),
        Column("price", "decimal(18,2)", "in dollars"),
    ),
)
NUMBER, PRICE = NOW.columns[1], NOW.columns[4]
FORMER = dataclasses.replace(NOW, columns=(NUMBER, PRICE))


def put(lake: Lake, table: Table, version: int, *values: object) -> None:
    rows = lake.spark.createDataFrame([values], table.ddl)
    delta.append(rows, lake, table, once=Transaction("test", version))


def test_columns_come_into_a_table_of_a_former_release_where_the_contract_has_them(lake: Lake) -> None:
    put(lake, FORMER, 1, 1, None)
    put(lake, NOW, 2, "top", 2, datetime(2026, 1, 1, tzinfo=UTC), [("a", b"b")], None)
    found = delta.read(lake, NOW)
    wanted = lake.spark.createDataFrame([], NOW.ddl).schema
    assert found.schema.simpleString() == wanted.simpleString()  # in the contract's order, which Trino is held to
    rows = {row["thing"]: row for row in found.collect()}
    assert (rows[1]["shelf"], rows[1]["labels"], rows[2]["shelf"]) == (None, None, "top")
    before = delta.current_version(lake, NOW)
    delta.ensure(lake, NOW)
    assert delta.current_version(lake, NOW) == before
    # The former release, still running somewhere, writes on.
    put(lake, FORMER, 3, 3, None)
    assert delta.read(lake, NOW).count() == 3


def test_a_table_of_another_shape_is_left_as_it_is(lake: Lake) -> None:
    delta.ensure(lake, dataclasses.replace(NOW, columns=(dataclasses.replace(NUMBER, type="string"), PRICE)))
    with pytest.raises(TerminalError, match=r"core\.things was written by another release.*thing is string"):
        delta.ensure(lake, NOW)
    assert delta.read(lake, NOW).columns == ["thing", "price"]


def test_who_adds_the_same_columns_at_once_is_not_in_the_way(lake: Lake) -> None:
    delta.ensure(lake, FORMER)
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(delta.ensure, lake, NOW) for _ in range(4)]:
            done.result()
    assert tuple(delta.read(lake, NOW).columns) == NOW.column_names
