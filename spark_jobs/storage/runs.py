"""Every run of a job leaves one row in `ops.runs`: counts in and out, duration, success or failure."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator
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
    """Record the run of the block, failed or not; the block's error goes on."""
    run, started = Run(run_id=str(uuid.uuid4())), datetime.now(UTC)
    state = "failed"
    try:
        yield run
        state = "succeeded"
    finally:
        ended = datetime.now(UTC)
        _write(lake, run, (job, workspace_id, started, ended, state))
        log.info("%s %s: %d rows in, %d out in %.1f s", job, state, run.rows_in, run.rows_out, (ended - started).total_seconds())


def _write(lake: Lake, run: Run, facts: tuple[str, str, datetime, datetime, str]) -> None:
    counts = (run.rows_in, run.rows_out, run.rows_quarantined, run.rows_duplicate)
    values = (run.run_id, *facts, *counts, json.dumps(run.detail, sort_keys=True))
    rows = lake.spark.createDataFrame([values], RUNS.ddl)
    append(rows, lake, RUNS, once=Transaction(f"run/{run.run_id}", 1))
