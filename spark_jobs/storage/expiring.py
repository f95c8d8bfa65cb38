"""Rows of days that are over go as a whole: only days are looked at, so no file is written anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake, read


@dataclass(frozen=True, slots=True)
class Expired:
    """Rows of days before the first that stays, and the oldest of these days; None where there are none."""

    rows: int
    oldest: date | None


def day_of(table: Table) -> str | None:
    """The column of days that a table is partitioned by; None where it has none."""
    kinds = table.types
    return next((name for name in table.partition_by if kinds[name] == "date"), None)


def due(lake: Lake, table: Table, *, before: date) -> Expired:
    """What stands in the table of days before `before`; TypeError for a table without days."""
    found = _of_days(read(lake, table), table, before).agg(
        F.count(F.lit(1)).alias("rows"), F.min(_day(table)).alias("oldest")
    )
    row = found.collect()[0]
    return Expired(int(row["rows"]), row["oldest"])


def expire(lake: Lake, table: Table, *, before: date) -> None:
    """Delete these rows in one commit; repeated, it finds none."""
    condition = F.col(_day(table)) < F.lit(before)
    path = lake.path_of(table)
    until_committed(lambda: DeltaTable.forPath(lake.spark, path).delete(condition), f"expiry of {table.name}")


def _of_days(rows: DataFrame, table: Table, before: date) -> DataFrame:
    return rows.where(F.col(_day(table)) < F.lit(before))


def _day(table: Table) -> str:
    name = day_of(table)
    if name is None:
        raise TypeError(f"{table.name} is not partitioned by days")
    return name
