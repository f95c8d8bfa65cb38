"""Steps of triggers are cleared so that no run of theirs that is under way, as one always may be, brings any back.

A run publishes under the number behind the one that it found. So the table is cleared first, then that number is taken
in every workspace; where a run was faster, all of it begins again. Who starts behind it finds nothing of the persons.
"""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

from spark_jobs.contracts.triggers import TRIGGER_RUNS, TRIGGERS
from spark_jobs.erasure.clearing import Cleared, Way, cleared, told
from spark_jobs.erasure.finding import concerned
from spark_jobs.erasure.plan import Plan
from spark_jobs.errors import RetryableError
from spark_jobs.storage import delta
from spark_jobs.triggers import publication
from spark_jobs.triggers.moments import micros_of
from spark_jobs.triggers.publication import Run

# Runs take minutes, and this seconds.
_ATTEMPTS = 8


def clear_triggers(plan: Plan, way: Way) -> Cleared:
    """What all attempts took out; RetryableError where other runs publish all the time."""
    lake, targets = plan.lake, plan.targets
    for attempt in range(_ATTEMPTS):
        numbers = _numbers(plan)
        # Of another name each time: what a run put in meanwhile is looked for again.
        once = replace(way, name=f"{plan.run_id}/{uuid.uuid4()}")
        cleared(lake, TRIGGERS, lambda rows: concerned(rows, TRIGGERS, targets), once)
        try:
            for workspace, number in numbers.items():
                now = micros_of(datetime.now(UTC))
                publication.publish(lake, Run(workspace, number + 1, plan.run_id, "erase", now), steps=0)
        except RetryableError:
            if attempt == _ATTEMPTS - 1:
                raise
            continue
        break
    found = told(lake, TRIGGERS, plan.run_id)
    return found if found.version is not None else Cleared(delta.current_version(lake, TRIGGERS), 0, 0)


def _numbers(plan: Plan) -> dict[str, int]:
    """The newest number of each workspace that has any."""
    if not delta.exists(plan.lake, TRIGGER_RUNS):
        return {}
    rows = delta.read(plan.lake, TRIGGER_RUNS).groupBy("workspace_id").agg({"number": "max"}).collect()
    return {str(row[0]): int(row[1]) for row in rows}
