"""Every run of a job leaves one row in `ops.runs`: counts in and out, duration, success or failure."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from spark_jobs.contracts.operations import RUNS
from spark_jobs.storage.delta import Lake, Transaction, append

log = logging.getLogger(__name__)

Detail = str | int | float | bool | None


@dataclass(slots=True)
class Run:
    """What one run counted; the job fills it while it works."""

    run_id: str
    rows_in: int = 0
    rows_out: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    detail: dict[str, Detail] = field(default_factory=dict)


@contextmanager
def recorded(lake: Lake, job: str, workspace_id: str) -> Iterator[Run]:
    """Record the run of the block, failed or not; the block's error goes on, also where it cannot be recorded."""
    run, started = Run(run_id=str(uuid.uuid4())), datetime.now(UTC)
    facts = {"job": job, "workspace_id": workspace_id, "started_at": started}
    try:
        yield run
    except BaseException:
        try:
            _note(lake, run, {**facts, "state": "failed"})
        except Exception as error:  # noqa: BLE001 - Spark may be what failed; why the run failed must still be heard
            log.warning("%s failed, and ops.runs could not be told: %s", job, type(error).__name__)
        raise
    _note(lake, run, {**facts, "state": "succeeded"})


def _note(lake: Lake, run: Run, facts: Mapping[str, object]) -> None:
    ended, started = datetime.now(UTC), facts["started_at"]
    assert isinstance(started, datetime)
    counts = {
        name: getattr(run, name) for name in ("run_id", "rows_in", "rows_out", "rows_quarantined", "rows_duplicate")
    }
    row = {**facts, **counts, "ended_at": ended, "detail": json.dumps(run.detail, sort_keys=True)}
    record(lake, row, once=Transaction(f"run/{run.run_id}", 1))
    seconds = (ended - started).total_seconds()
    log.info("%s %s: %d rows in, %d out in %.1f s", facts["job"], facts["state"], run.rows_in, run.rows_out, seconds)


def record(lake: Lake, row: Mapping[str, object], *, once: Transaction) -> None:
    """Write one row of `ops.runs`; the same transaction again is a no-op."""
    values = tuple(row[name] for name in RUNS.column_names)
    append(lake.spark.createDataFrame([values], RUNS.ddl), lake, RUNS, once=once)
