"""Few large files out of many small ones: rows, and what any version shows, stay as they are.

Delta's own command does it (OPTIMIZE): its commit changes no data, so a migration's replay passes over it. It gathers
the names of the files that it looks at on the driver, so of a table with days it looks at the newest alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from delta.tables import DeltaTable
from pyspark.sql import SparkSession

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake

MB = 1 << 20
# A file of at least the first size is left alone; what is put together comes to the second at most.
_SETTINGS = {
    "spark.databricks.delta.optimize.minFileSize": str(192 * MB),
    "spark.databricks.delta.optimize.maxFileSize": str(512 * MB),
}


@dataclass(frozen=True, slots=True)
class Compacted:
    """Files of a table that were put together, and what they became."""

    removed: int = 0
    added: int = 0


def compact(lake: Lake, table: Table, *, days: int) -> Compacted:
    """Put small files of a table together, of the last `days` where it has days; again where a writer came between."""
    session = _session(lake)

    def attempt() -> Compacted:
        chosen = DeltaTable.forPath(session, lake.path_of(table)).optimize()
        if since := _since(table, days):
            chosen = chosen.where(since)
        (metrics,) = chosen.executeCompaction().select("metrics.*").collect()
        return Compacted(metrics["numFilesRemoved"], metrics["numFilesAdded"])

    return until_committed(attempt, f"compaction of {table.name}")


def _since(table: Table, days: int) -> str:
    """The condition on the table's day; '' for one that has none."""
    kinds = {column.name: column.type for column in table.columns}
    dated = [name for name in table.partition_by if kinds[name] == "date"]
    first = (datetime.now(UTC) - timedelta(days=days)).date()
    return f"{dated[0]} >= DATE '{first.isoformat()}'" if dated else ""


def _session(lake: Lake) -> SparkSession:
    """One of its own, whose settings are nobody else's."""
    session = lake.spark.newSession()
    for name, value in _SETTINGS.items():
        session.conf.set(name, value)
    return session
