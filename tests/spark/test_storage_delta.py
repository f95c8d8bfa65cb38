"""Delta by contract: properties, appends that happen once, merges, fingerprints."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame

from spark_jobs.contracts.core import PRODUCTS
from spark_jobs.contracts.derived import SESSIONS
from spark_jobs.contracts.tables import TABLES
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction


def products(lake: Lake, *numbers: int) -> DataFrame:
    origin = "migration/products/0"
    rows = [("grocery", str(n), "DRUG", "SOAP", "BAR", "National", None, "", origin, n) for n in numbers]
    return lake.spark.createDataFrame(rows, PRODUCTS.ddl)


def test_every_contract_can_be_created_and_keeps_its_properties(lake) -> None:
    from delta.tables import DeltaTable

    for table in TABLES:
        delta.ensure(lake, table)
        detail = DeltaTable.forPath(lake.spark, lake.path_of(table)).detail().collect()[0]
        assert detail["properties"]["delta.enableDeletionVectors"] == "false", table.name
        assert table.all_properties.items() <= detail["properties"].items()
        assert tuple(detail["partitionColumns"]) == table.partition_by
        assert tuple(detail["clusteringColumns"]) == table.cluster_by
        wanted = lake.spark.createDataFrame([], table.ddl).schema
        assert delta.read(lake, table).schema.simpleString() == wanted.simpleString()


def test_the_same_transaction_twice_is_one_append(lake) -> None:
    for _ in range(2):
        delta.append(products(lake, 1, 2), lake, PRODUCTS, once=Transaction("migration/products/0", 1))
    delta.append(products(lake, 3), lake, PRODUCTS, once=Transaction("migration/products/1", 1))
    assert sorted(row.product_id for row in delta.read(lake, PRODUCTS).collect()) == ["1", "2", "3"]


def test_merge_inserts_only_what_is_missing(lake) -> None:
    delta.append(products(lake, 1, 2), lake, PRODUCTS, once=Transaction("a", 1))
    assert delta.merge_missing(products(lake, 2, 3), lake, PRODUCTS) == 1
    assert delta.merge_missing(products(lake, 2, 3), lake, PRODUCTS) == 0
    assert delta.read(lake, PRODUCTS).count() == 3


def test_a_missing_column_is_named(lake) -> None:
    with pytest.raises(TerminalError, match=r"core\.products: missing columns \['brand'\]"):
        delta.append(products(lake, 1).drop("brand"), lake, PRODUCTS, once=Transaction("a", 1))


def test_rows_of_another_day_are_refused_by_a_replacement(lake) -> None:
    from pyspark.errors import PySparkException

    rows = lake.spark.range(1).selectExpr(
        *[f"cast(null as {kind}) as {name}" for name, kind in SESSIONS.types.items() if name != "session_date"],
        "DATE '2017-11-02' AS session_date",
    )
    with pytest.raises(PySparkException, match="DELTA_REPLACE_WHERE_MISMATCH"):
        delta.replace_where(rows, lake, SESSIONS, "session_date = DATE '2017-11-01'")
