"""On which side the readers of a view are: every step of a switch is a row of `migration.switches`, in the lake.

The ledger has no say in it: one that was restored from a backup would move readers back. Its history takes over the
steps that it has not heard of. `trino_catalog.apply` asks Trino for the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pyspark.sql import Row
from pyspark.sql import functions as F

from migration.work import Work
from spark_jobs.contracts.operations import MIGRATION_SWITCHES
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake, Transaction

CUTTING_OVER, CUT_OVER, ROLLED_BACK, FINISHED = "cutting over", "cut over", "rolled back", "finished"
OLD, NEW = "old", "new"  # `trino_catalog.apply` knows these words
SWITCH = "migration.switch"
_NUMBER = "switch"  # a step's number in the facts of the ledger's history


@dataclass(frozen=True, slots=True)
class Noted:
    """A step of a switch, as the lake holds it."""

    number: int
    step: str
    side: str
    at: datetime
    facts: dict[str, Any]


def newest(lake: Lake, view: str, *, version: int | None = None) -> Noted | None:
    """The step that is in force; None where the view was never switched."""
    if not delta.exists(lake, MIGRATION_SWITCHES):
        return None
    rows = delta.read(lake, MIGRATION_SWITCHES, version=version).where(F.col("view") == view)
    found = rows.orderBy(F.col("number").desc()).limit(1).collect()
    return _noted(found[0]) if found else None


def note(work: Work, view: str, step: str, *, side: str, facts: Mapping[str, Any]) -> None:
    """Put a step in force: in the lake first, then in the plan's history."""
    work.lease.check()
    number = until_committed(partial(_append, work, view, step, side=side, facts=facts), f"noting {step}, {view}")
    work.ledger.record_step(work.plan.plan_id, step, {**facts, "view": view, _NUMBER: number})


def heal(work: Work) -> int:
    """Take steps of this plan's switches into its history where the ledger has not heard of them; how many.

    The table is made by a job's first verb, so that Trino knows it long before the first switch.
    """
    if work.job.switch is None:
        return 0
    delta.ensure(work.lake, MIGRATION_SWITCHES)
    _carry_over(work, work.job.switch.view)
    heard = {(step.facts.get("view"), step.facts.get(_NUMBER)) for step in work.ledger.steps(work.plan.plan_id)}
    rows = delta.read(work.lake, MIGRATION_SWITCHES).where(F.col("plan_id") == work.plan.plan_id)
    missing = [row for row in rows.orderBy("view", "number").collect() if (row["view"], row["number"]) not in heard]
    for row in missing:
        noted = _noted(row)
        facts = {**noted.facts, "view": row["view"], _NUMBER: noted.number}
        work.ledger.record_step(work.plan.plan_id, noted.step, {**facts, "noted_at": f"{noted.at:%Y-%m-%dT%H:%M:%SZ}"})
    return len(missing)


def _carry_over(work: Work, view: str) -> None:
    """Note in the lake what the release before noted in the ledger alone."""
    last = work.ledger.last_step(work.plan.plan_id, CUT_OVER, ROLLED_BACK, FINISHED)
    if last is None or _NUMBER in last.facts or newest(work.lake, view) is not None:
        return
    side = OLD if last.name == ROLLED_BACK else NEW
    note(work, view, last.name, side=side, facts={"reason": f"noted in the ledger alone at {last.at}"})


def _append(work: Work, view: str, step: str, *, side: str, facts: Mapping[str, Any]) -> int:
    transaction, app_id = Append(work.lake, MIGRATION_SWITCHES), f"{SWITCH}/{view}"
    transaction.newest(app_id)  # who notes a step of this view meanwhile makes this one fail
    before = newest(work.lake, view, version=transaction.version)
    number = before.number + 1 if before else 1
    values = {"view": view, "number": number, "step": step, "side": side, "job": work.job.name}
    values |= {"plan_id": work.plan.plan_id, "run_id": work.run_id, "noted_at": datetime.now(UTC)}
    values |= {"facts": json.dumps(facts, sort_keys=True)}
    row = tuple(values[name] for name in MIGRATION_SWITCHES.column_names)
    transaction.write(work.lake.spark.createDataFrame([row], MIGRATION_SWITCHES.ddl))
    transaction.commit(Transaction(app_id, number), facts={"kind": SWITCH, "run": work.run_id, "view": view})
    return number


def _noted(row: Row) -> Noted:
    at = row["noted_at"].astimezone(UTC)
    return Noted(row["number"], row["step"], row["side"], at, json.loads(row["facts"]))
