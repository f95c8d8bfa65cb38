"""`migration.chunks`: the ledger as a table, so that everyone can watch a migration in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from functools import reduce
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import Column
from pyspark.sql import functions as F

from migration import marks
from migration.chunks import Chunk
from migration.ledger import PAGE, batched, now
from migration.marks import Mark
from migration.work import Work
from spark_jobs.contracts.operations import MIGRATION_CHUNKS
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import until_committed

# Hosts that wrote to the ledger may have clocks that differ by this much.
OVERLAP_S = 60


def mirror(work: Work) -> None:
    """Make the table say what the ledger says of this plan; only chunks that changed since the last time are looked at.

    Rows that are equal already are not written again.
    """
    delta.ensure(work.lake, MIGRATION_CHUNKS)
    of, table_id = (work.plan.plan_id, MIGRATION_CHUNKS.name), Append(work.lake, MIGRATION_CHUNKS).table_id
    mark, begun = marks.read(work.ledger, *of), now(earlier_s=OVERLAP_S)
    since = mark.transaction_id if mark and mark.table_id == table_id else ""
    for page in batched(work.ledger.chunks(work.plan.plan_id, since=since), PAGE):
        until_committed(lambda page=page: _merge(work, page), "mirroring the ledger")  # type: ignore[misc]
    marks.remember(work.ledger, of, Mark(table_id, 0, begun))


def _merge(work: Work, page: list[Chunk]) -> None:
    rows = work.lake.spark.createDataFrame(list(_rows(page)), MIGRATION_CHUNKS.ddl)
    table = DeltaTable.forPath(work.lake.spark, work.lake.path_of(MIGRATION_CHUNKS)).alias("old")
    compared = [name for name in MIGRATION_CHUNKS.column_names if name != "updated_at"]
    is_same = reduce(Column.__and__, [F.col(f"old.{name}").eqNullSafe(F.col(f"new.{name}")) for name in compared])
    # A merge writes the files of all rows that it matches anew, changed or not: so it gets the changed ones alone.
    changed = [row["chunk_id"] for row in rows.alias("new").join(table.toDF(), is_same, "left_anti").collect()]
    if not changed:
        return
    rows = rows.where(F.col("chunk_id").isin(changed))
    key = " AND ".join(f"old.{name} = new.{name}" for name in MIGRATION_CHUNKS.key)
    table.merge(rows.alias("new"), key).whenMatchedUpdateAll().whenNotMatchedInsertAll().execute()


def _rows(page: list[Chunk]) -> Iterator[tuple[Any, ...]]:
    moment = datetime.now(UTC)
    for chunk in page:
        counts = chunk.counts
        values = {
            "plan_id": chunk.plan_id,
            "chunk_id": chunk.chunk_id,
            "target": chunk.target,
            "source_object": chunk.source_object,
            "bytes": chunk.bytes,
            "sha256": chunk.sha256,
            "state": str(chunk.state),
            "rows_read": counts and counts.read,
            "rows_good": counts and counts.good.rows,
            "rows_quarantined": counts and counts.quarantined,
            "rows_duplicate": counts and counts.duplicate,
            "digest_xor": counts and counts.good.digest_xor,
            "digest_sum": None if counts is None else Decimal(counts.good.digest_sum),
            "contract_hash": chunk.contract_hash,
            "message": chunk.message or None,
            "updated_at": moment,
        }
        yield tuple(values[name] for name in MIGRATION_CHUNKS.column_names)
