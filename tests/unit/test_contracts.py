"""Contracts: they hold together, derive what they should, and the reference page is today's."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_jobs.contracts.reference import reference
from spark_jobs.contracts.schema import Column, Table, trino_type
from spark_jobs.contracts.tables import TABLES, table_named

ROOT = Path(__file__).parents[2]


def table(**changed: object) -> Table:
    columns = (Column("a", "bigint", "first"), Column("b", "string", "second"), Column("t", "binary", "token"))
    given = {"name": "core.things", "grain": "one thing", "key": ("a",), "columns": columns}
    return Table(**{**given, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        pytest.param({"key": ("z",)}, "z is not a column", id="key of no column"),
        pytest.param({"cluster_by": ("t",)}, "t is binary and has no statistics", id="clustered by a token"),
        pytest.param({"partition_by": ("a",), "cluster_by": ("b",)}, "never both", id="partitioned and clustered"),
        pytest.param({"name": "Things"}, "schema.table", id="no schema"),
        pytest.param({"columns": (Column("a", "int", ""), Column("a", "int", ""))}, "stands twice", id="column twice"),
    ],
)
def test_a_contract_that_contradicts_itself_is_refused(changed: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        table(**changed)


def test_the_hash_follows_what_readers_depend_on() -> None:
    renamed = table(columns=(Column("a", "bigint", "first"), Column("c", "string", "second")))
    reworded = table(columns=tuple(Column(c.name, c.type, "other words") for c in table().columns))
    assert renamed.contract_hash != table().contract_hash
    assert reworded.contract_hash == table().contract_hash


@pytest.mark.parametrize(
    ("spark", "trino"),
    [
        ("decimal(18,2)", "decimal(18,2)"),
        ("timestamp", "timestamp(3) with time zone"),
        ("array<struct<type:string,token:binary>>", "array(row(type varchar, token varbinary))"),
    ],
)
def test_trino_types(spark: str, trino: str) -> None:
    assert trino_type(spark) == trino


def test_every_column_has_a_trino_type_and_every_personal_column_a_class() -> None:
    for contract in TABLES:
        for column in contract.columns:
            assert trino_type(column.type)
            if "token" in column.name:
                assert column.personal == "pseudonym", f"{contract.name}.{column.name}"


def test_no_deletion_vectors_anywhere() -> None:
    assert all(contract.all_properties["delta.enableDeletionVectors"] == "false" for contract in TABLES)


def test_tables_are_found_by_name() -> None:
    assert table_named("core.events").table_name == "events"
    with pytest.raises(KeyError):
        table_named("core.nothing")


def test_the_reference_page_is_todays() -> None:
    written = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m spark_jobs.contracts.reference > docs/tables.md"


def test_what_was_replaced_is_kept_for_a_week_but_in_the_table_that_is_written_every_minute() -> None:
    """A vacuum goes by the table alone: a shorter time takes files of writers that have not committed yet."""
    shorter = {table.name for table in TABLES if "delta.deletedFileRetentionDuration" in table.all_properties}
    assert shorter == {"migration.progress"}
