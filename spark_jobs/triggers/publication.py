"""Steps count when one append to `tags.trigger_runs` says so; whoever decides or sends aims at the number behind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from spark_jobs.contracts.triggers import TRIGGER_RUNS, TRIGGERS
from spark_jobs.people.system_time import moment
from spark_jobs.storage import delta, generations
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.triggers.deciding import KEY
from spark_jobs.triggers.moments import instant_of

# What a run adds to each step; all other columns are the step's own.
SIGNED = ("workspace_id", "number", "generation", "decided_at", "due_date")
STEP = tuple(name for name in TRIGGERS.column_names if name not in SIGNED)
# After so long a cart that comes back counts as a new one. Longer than any cap and `expires` together.
REMEMBERED = timedelta(days=130)
# A run that died aimed at one of the numbers that were next then; so many back were cleaned long ago.
NUMBERS_LOOKED_AT = 10


@dataclass(frozen=True, slots=True)
class Run:
    """What a run signs its steps with: its number, and the moment for which it decides (microseconds since 1970)."""

    workspace: str
    number: int
    generation: str
    kind: Literal["decide", "send", "erase"]
    at_us: int
    snapshot_id: str | None = None


@dataclass(frozen=True, slots=True)
class Standing:
    """The newest number that is taken (0 before the first), and the moment up to which steps are decided."""

    number: int
    at_us: int | None


def standing(lake: Lake, workspace: str) -> Standing:
    """How far a workspace's triggers are."""
    facts = _runs(lake, workspace).agg(
        F.coalesce(F.max("number"), F.lit(0)).alias("number"),
        F.unix_micros(F.max(F.when(F.col("kind") == "decide", F.col("decided_at")))).alias("at_us"),
    )
    found = facts.collect()[0]
    return Standing(int(found["number"]), found["at_us"])


def states(lake: Lake, workspace: str, *, at_us: int) -> DataFrame:
    """The newest step that counts of each trigger, cart or order, and wait, of those that are remembered."""
    since = (instant_of(at_us) - REMEMBERED).date()
    # First the runs: the steps of a run that is seen are then seen as well.
    counted = _runs(lake, workspace).select("number", "generation")
    steps = delta.read(lake, TRIGGERS).where((F.col("workspace_id") == workspace) & (F.col("due_date") >= F.lit(since)))
    mine = steps.join(F.broadcast(counted), on=["number", "generation"], how="left_semi")
    others = [name for name in TRIGGERS.column_names if name not in KEY]
    newest = mine.groupBy(*KEY).agg(F.max_by(F.struct(*others), "number").alias("newest"))
    return newest.select(*KEY, "newest.*")


def steps_of(lake: Lake, workspace: str, number: int, generation: str) -> DataFrame:
    """The steps of one run."""
    is_its = (F.col("number") == number) & (F.col("generation") == generation)
    return delta.read(lake, TRIGGERS).where((F.col("workspace_id") == workspace) & is_its)


def sends_behind(lake: Lake, workspace: str, number: int) -> list[Row]:
    """Number and generation of the `send` runs behind a number, in order."""
    runs = _runs(lake, workspace).where((F.col("kind") == "send") & (F.col("number") > number))
    return runs.select("number", "generation").orderBy("number").collect()


def write(steps: DataFrame, lake: Lake, run: Run) -> None:
    """Write the steps of a run, which nobody sees yet.

    In: columns of `tags.triggers` but for those of SIGNED, and of `snapshot_id` where the run has one.
    """
    signed = {
        "workspace_id": F.lit(run.workspace),
        "number": F.lit(run.number).cast("bigint"),
        "generation": F.lit(run.generation),
        "decided_at": moment(run.at_us),
        "due_date": F.to_date("due_at"),
    }
    if run.snapshot_id is not None:
        signed["snapshot_id"] = F.lit(run.snapshot_id)
    once = Transaction(f"triggers/steps/{run.generation}", 1)
    delta.append(steps.withColumns(signed).hint("rebalance", "due_date"), lake, TRIGGERS, once=once)


def publish(lake: Lake, run: Run, *, steps: int) -> None:
    """From now on the steps count; RetryableError where another run took the number."""
    values: dict[str, object] = {
        "workspace_id": run.workspace,
        "number": run.number,
        "generation": run.generation,
        "kind": run.kind,
        "decided_at": instant_of(run.at_us),
        "snapshot_id": run.snapshot_id,
        "steps": steps,
        "published_at": datetime.now(UTC),
    }
    row = tuple(values[name] for name in TRIGGER_RUNS.column_names)
    rows = lake.spark.createDataFrame([row], TRIGGER_RUNS.ddl)
    within, writer = f"workspace_id = '{run.workspace}'", f"triggers/{run.workspace}"
    generations.publish(rows, lake, TRIGGER_RUNS, within=within, writer=writer)


def forget(lake: Lake, workspace: str, number: int) -> None:
    """Delete steps of runs that died, or lost their number to another, once their number is taken."""
    counted = _runs(lake, workspace).select("number", "generation")
    late = (F.col("number") > number - NUMBERS_LOOKED_AT) & (F.col("number") <= number)
    found = delta.read(lake, TRIGGERS).where((F.col("workspace_id") == workspace) & late)
    lost = found.select("number", "generation").distinct().join(counted, ["number", "generation"], "left_anti")
    if dead := sorted({row["generation"] for row in lost.collect()}):
        names = ", ".join(f"'{name}'" for name in dead)
        generations.forget(lake, TRIGGERS, f"workspace_id = '{workspace}' AND generation IN ({names})")


def _runs(lake: Lake, workspace: str) -> DataFrame:
    return delta.read(lake, TRIGGER_RUNS).where(F.col("workspace_id") == workspace)
