"""Delta tables by path: create, read, append once, replace; every write can be repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import Column as SparkColumn
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.evolution import evolve


@dataclass(frozen=True, slots=True)
class Lake:
    """A session and the storage root under which tables lie as `root/schema/table`."""

    spark: SparkSession
    root: str

    def path_of(self, table: Table) -> str:
        """The folder of a table."""
        return f"{self.root}/{table.schema_name}/{table.table_name}"


@dataclass(frozen=True, slots=True)
class Transaction:
    """What makes an append happen once: Delta skips a version that this writer has committed before."""

    app_id: str
    version: int


def exists(lake: Lake, table: Table) -> bool:
    """True where the table has been created."""
    return bool(DeltaTable.isDeltaTable(lake.spark, lake.path_of(table)))


def ensure(lake: Lake, table: Table) -> None:
    """Create the table by its contract where it is not there yet; add columns that came into the contract since.

    TerminalError where it differs in more than columns that may be null (`evolution.py`).
    """
    if exists(lake, table):
        until_committed(
            lambda: evolve(lake.spark, lake.path_of(table), table, _schema_of(table)), f"altering {table.name}"
        )
        return
    _create(lake, table)


def _create(lake: Lake, table: Table) -> None:
    builder = DeltaTable.createIfNotExists(lake.spark).location(lake.path_of(table))
    builder = builder.addColumns(_schema_of(table)).comment(table.grain)
    for key, value in table.all_properties.items():
        builder = builder.property(key, value)
    if table.partition_by:
        builder = builder.partitionedBy(*table.partition_by)
    if table.cluster_by:
        builder = builder.clusterBy(*table.cluster_by)
    builder.execute()


def _schema_of(table: Table) -> StructType:
    schema = StructType.fromDDL(table.ddl)
    if not isinstance(schema, StructType):
        raise TypeError(f"{table.name}: the contract's DDL is no list of columns")
    return schema


def read(lake: Lake, table: Table, *, version: int | None = None) -> DataFrame:
    """All rows, of the newest version or a given one."""
    reader = lake.spark.read.format("delta")
    if version is not None:
        reader = reader.option("versionAsOf", version)
    return reader.load(lake.path_of(table))


def read_days(lake: Lake, table: Table, *, since: date, until: date, version: int | None = None) -> DataFrame:
    """Rows of the UTC days since <= day < until, pruned by partition; of the newest version or a given one."""
    day = F.col(table.partition_by[0])
    return read(lake, table, version=version).where((day >= F.lit(since)) & (day < F.lit(until)))


def conform(rows: DataFrame, table: Table) -> DataFrame:
    """The contract's columns, in its order and types; TerminalError names what is missing."""
    missing = [name for name in table.column_names if name not in rows.columns]
    if missing:
        raise TerminalError(f"cannot write {table.name}: missing columns {missing}; got {sorted(rows.columns)}")
    return rows.select(*[F.col(name).cast(kind).alias(name) for name, kind in table.types.items()])


def append(
    rows: DataFrame, lake: Lake, table: Table, *, once: Transaction, facts: Mapping[str, Any] | None = None
) -> None:
    """Append rows; the same transaction again is a no-op. `facts` stand in the commit for who audits it.

    Rows that leave out what the table holds already read the table they are written to: where another commit came to
    the partitions that they read, they are computed anew against it.
    """
    ensure(lake, table)
    writer = conform(rows, table).write.format("delta").mode("append")
    writer = writer.option("txnAppId", once.app_id).option("txnVersion", once.version)
    if facts:
        writer = writer.option("userMetadata", json.dumps(facts, sort_keys=True))
    until_committed(lambda: writer.save(lake.path_of(table)), f"appending to {table.name}")


def replace_all(rows: DataFrame, lake: Lake, table: Table) -> None:
    """Replace the whole table in one commit; readers see the old rows or the new ones."""
    ensure(lake, table)
    conform(rows, table).write.format("delta").mode("overwrite").save(lake.path_of(table))


def replace_where(
    rows: DataFrame, lake: Lake, table: Table, condition: str, *, facts: Mapping[str, Any] | None = None
) -> None:
    """Replace the rows that meet `condition` (SQL); rows outside it are refused by Delta.

    `facts` stand in the commit (`commits.py` reads them).
    """
    ensure(lake, table)
    writer = conform(rows, table).write.format("delta").mode("overwrite").option("replaceWhere", condition)
    if facts:
        writer = writer.option("userMetadata", json.dumps(facts, sort_keys=True))
    writer.save(lake.path_of(table))


def current_version(lake: Lake, table: Table) -> int:
    """The newest committed version of a table that is there."""
    # Delta's history would read the commit itself in a job of Spark; its number is known from the log's list.
    java: Any = lake.spark._jvm  # noqa: SLF001 - PySpark has no name for it
    session, none = lake.spark._jsparkSession, java.scala.Option.empty()  # noqa: SLF001
    log = java.org.apache.spark.sql.delta.DeltaLog.forTable(session, lake.path_of(table))
    return int(log.update(False, none, none).version())


def table_id(lake: Lake, table: Table) -> str:
    """The id that a table has for its life; one made anew under the same name has another."""
    return str(DeltaTable.forPath(lake.spark, lake.path_of(table)).detail().select("id").collect()[0]["id"])


def row_digest(columns: Mapping[str, str]) -> SparkColumn:
    """64 bits in which NULL and '' differ and no two columns can run together; columns: name to contract type.

    Nested columns enter as canonical JSON text; to_json cuts time stamps to milliseconds, so contracts nest none.
    """
    # xxhash64 skips nulls, so a bitmap of them goes first.
    nulls = F.array(*[F.col(name).isNull() for name in columns])
    return F.xxhash64(nulls, *[_digestible(name, kind) for name, kind in columns.items()])


def _digestible(name: str, kind: str) -> SparkColumn:
    column = F.col(name).cast(kind)
    return F.to_json(column) if kind.startswith(("array", "map", "struct")) else column
