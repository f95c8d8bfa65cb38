"""Delta by contract: properties, appends that happen once, replacements."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
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


def test_an_append_that_another_writer_overtook_is_computed_anew(lake, tmp_path, caplog) -> None:
    begun, may_go_on = tmp_path / "begun", tmp_path / "go"

    def wait_for_the_other(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        begun.touch()
        while not may_go_on.exists():
            time.sleep(0.05)
        yield from batches

    delta.append(products(lake, 1), lake, PRODUCTS, once=Transaction("a", 1))
    # One task waits, so that the other writer finds a free core.
    given = products(lake, 1, 2, 3).coalesce(1).mapInPandas(wait_for_the_other, PRODUCTS.ddl)
    missing = given.join(delta.read(lake, PRODUCTS).select("product_id"), on="product_id", how="left_anti")
    with caplog.at_level("INFO"), ThreadPoolExecutor() as pool:
        slow = pool.submit(delta.append, missing, lake, PRODUCTS, once=Transaction("a", 2))
        while not begun.exists():
            assert not slow.done(), slow.result()
            time.sleep(0.05)
        delta.append(products(lake, 3), lake, PRODUCTS, once=Transaction("b", 1))
        may_go_on.touch()
        slow.result()
    assert "appending to core.products met a concurrent commit, attempt 1" in caplog.text
    assert sorted(row.product_id for row in delta.read(lake, PRODUCTS).collect()) == ["1", "2", "3"]


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
