"""`migration.progress`: how far each plan is, as a table, so that everyone can watch a migration in SQL.

The rows of a plan are replaced in one commit, and what was replaced is swept away: the table does not grow.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from migration.chunks import ChunkState
from migration.overview import PLACES, targets
from migration.tracking import Figures
from migration.work import Work
from spark_jobs.contracts.operations import MIGRATION_PROGRESS
from spark_jobs.storage import delta
from spark_jobs.storage.vacuum import vacuum


def write_progress(work: Work, figures: Figures | None = None) -> None:
    """Replace the plan's rows by what the ledger says now; with `figures`, of the copy that runs."""
    values = [tuple(row[name] for name in MIGRATION_PROGRESS.column_names) for row in _rows(work, figures)]
    rows = work.lake.spark.createDataFrame(values, MIGRATION_PROGRESS.ddl)
    delta.replace_where(rows, work.lake, MIGRATION_PROGRESS, f"plan_id = '{work.plan.plan_id}'")


def sweep_progress(work: Work) -> None:
    """Delete the files that were replaced more than an hour ago."""
    if delta.exists(work.lake, MIGRATION_PROGRESS):
        vacuum(work.lake, MIGRATION_PROGRESS)


def _rows(work: Work, figures: Figures | None) -> Iterator[dict[str, Any]]:
    for one in targets(work.ledger.totals(work.plan.plan_id)):
        states = {f"chunks_{state}": one["states"].get(str(state), 0) for state in ChunkState}
        planned = {name: one[name] for name in ("target", "chunks", "bytes", "bytes_done", "records")}
        places = {f"rows_{place}": one[place] for place in PLACES}
        fixed = {"plan_id": work.plan.plan_id, "job": work.job.name, "updated_at": datetime.now(UTC)}
        yield {**fixed, **planned, **states, **places, **_pace(one["target"], figures)}


def _pace(target: str, figures: Figures | None) -> dict[str, Any]:
    rate = figures.rates.get(target) if figures else None
    return {
        "rows_per_s": rate and rate.records_per_s,
        "bytes_per_s": rate and rate.bytes_per_s,
        "recent_rows_per_s": rate and rate.recent_records_per_s,
        "recent_bytes_per_s": rate and rate.recent_bytes_per_s,
        "ends_at": figures and figures.ends_at,
        "waiting_until": figures and figures.wait and figures.wait.until,
    }
