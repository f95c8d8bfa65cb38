"""Merges that change rows by their contract key; repeated, they change nothing."""

from __future__ import annotations

from collections.abc import Sequence

from delta.tables import DeltaTable
from pyspark.sql import DataFrame

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import Lake, conform, ensure


def upsert(rows: DataFrame, lake: Lake, table: Table, *, updated: Sequence[str]) -> None:
    """Insert rows whose contract key is not there; of the others set the columns `updated`. One commit.

    In: rows unique on the key, with all columns of the contract.
    """
    ensure(lake, table)
    same_key = " AND ".join(f"old.`{name}` <=> new.`{name}`" for name in table.key)
    target = DeltaTable.forPath(lake.spark, lake.path_of(table)).alias("old")
    merge = target.merge(conform(rows, table).alias("new"), same_key)
    merge = merge.whenMatchedUpdate(set={name: f"new.`{name}`" for name in updated})
    merge.whenNotMatchedInsertAll().execute()
