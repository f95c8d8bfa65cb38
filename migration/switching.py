"""Cut-over, rollback, finish: readers' view is switched in one statement, after a barrier, and back until `finish`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from migration.chunks import ChunkState
from migration.commits import changes_since
from migration.history import VERIFIED, verifications
from migration.jobfile import Switch
from migration.settling import repeated_live
from migration.views import view_statement
from migration.work import Work
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from trino_catalog.connection import Trino

log = logging.getLogger(__name__)

SHADOWED, CUTTING_OVER, CUT_OVER = "shadowed", "cutting over", "cut over"
ROLLED_BACK, FINISHED = "rolled back", "finished"
OLD, NEW = "old", "new"  # `trino_catalog.apply` reads these in the ledger


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a dangerous sequence; `undo` is safe on a half-done step."""

    name: str
    do: Callable[[], None]
    undo: Callable[[], None]


def run_steps(steps: list[Step]) -> None:
    """Do all steps, or go back over those that were begun."""
    with ExitStack() as begun:
        for step in steps:
            log.info("cut-over: %s", step.name)
            begun.callback(step.undo)  # before `do`: undo must be safe on a half-done step
            step.do()
        begun.pop_all()  # all held: forget the undoing


def switch_of(work: Work) -> Switch:
    """The job's view; TerminalError where the job names none."""
    if work.job.switch is None:
        raise TerminalError(f"job {work.job.name} names no view under `cutover`; nothing can be switched")
    return work.job.switch


def cut_over(work: Work, client: Trino) -> dict[str, Any]:
    """Switch the readers' view to the new side; readers see old or new, never neither."""
    switch = switch_of(work)
    _refuse_finished(work)
    versions = pass_barrier(work)
    new, old = view_statement(switch.new), view_statement(switch.old)
    facts = {"view": switch.view, "versions": versions}
    work.lease.check()

    def switched() -> None:
        client.ask(new)

    def back() -> None:
        client.ask(old)

    def noted_back() -> None:
        why = {**facts, "reason": "cut-over did not complete"}
        work.ledger.record_step(work.plan.plan_id, ROLLED_BACK, why, side=OLD)

    def note(name: str, side: str | None = None) -> Callable[[], None]:
        return lambda: work.ledger.record_step(work.plan.plan_id, name, facts, side=side)

    def answers() -> None:
        client.ask(f"SELECT 1 FROM lake.{switch.view} LIMIT 1")

    def nothing() -> None:
        return

    run_steps(
        [
            Step("note what is about to happen", note(CUTTING_OVER), noted_back),
            Step(f"switch {switch.view} to the new tables", switched, back),
            Step(f"ask {switch.view}", answers, nothing),
            Step("note that it happened", note(CUT_OVER, NEW), nothing),
        ]
    )
    return facts


def roll_back(work: Work, client: Trino) -> dict[str, Any]:
    """Switch the view back to the old side; the new tables and what is written to them stay. Safe to repeat."""
    switch = switch_of(work)
    _refuse_finished(work)
    work.lease.check()
    client.ask(view_statement(switch.old))
    facts = {"view": switch.view}
    work.ledger.record_step(work.plan.plan_id, ROLLED_BACK, facts, side=OLD)
    return facts


def finish(work: Work) -> dict[str, Any]:
    """Close the migration: from now on it cannot be rolled back. Nothing of the old side is deleted."""
    last = work.ledger.last_step(work.plan.plan_id, CUTTING_OVER, CUT_OVER, ROLLED_BACK, FINISHED)
    if last is None or last.name in (CUTTING_OVER, ROLLED_BACK):
        found = "was never cut over" if last is None else f"is {last.name} since {last.at}"
        raise TerminalError(f"plan {work.plan.plan_id} {found}; only a migration that is cut over can be finished")
    if last.name == CUT_OVER:
        work.ledger.record_step(work.plan.plan_id, FINISHED, last.facts)
    return last.facts


def pass_barrier(work: Work) -> dict[str, int]:
    """Let through only what is verified in exactly its current state; the verified version by table.

    Live appends may have come since; nothing else may have, and no key may stand twice.
    """
    newest = verifications(work.ledger.steps(work.plan.plan_id)).items()
    versions = {table: int(step.facts["version"]) for table, step in newest if step.name == VERIFIED}
    for mapping in work.mappings:
        _check_table(work, mapping.table, versions.get(mapping.table.name))
    if work.job.shadow and work.ledger.last_step(work.plan.plan_id, SHADOWED) is None:
        raise TerminalError(f"plan {work.plan.plan_id} has passed no shadow run; run `migration shadow` first")
    return versions


def _check_table(work: Work, table: Table, version: int | None) -> None:
    states = [s for s in ChunkState if s is not ChunkState.VERIFIED]
    open_chunk = next(work.ledger.chunks(work.plan.plan_id, target=table.name, states=states), None)
    if version is None or open_chunk is not None:
        found = (
            "its last verification is not green"
            if open_chunk is None
            else f"chunk {open_chunk.chunk_id} is {open_chunk.state}"
        )
        raise TerminalError(f"{table.name}: {found}; the view stays as it is; run `migration verify` first")
    if delta.current_version(work.lake, table) == version:
        return  # verification looked for keys that stand twice in this very version
    if changed := changes_since(work.lake, table, version):
        raise TerminalError(
            f"{table.name} was changed after it was verified at version {version}: {changed}; the view stays as it is; "
            "run `migration settle` and `verify` again"
        )
    if repeated_live(delta.read(work.lake, table), table).limit(1).count():
        raise TerminalError(
            f"{table.name} holds a key twice; the view stays as it is; run `migration settle`, `verify`"
        )


def _refuse_finished(work: Work) -> None:
    if done := work.ledger.last_step(work.plan.plan_id, FINISHED):
        raise TerminalError(f"plan {work.plan.plan_id} was finished at {done.at}: its view is not switched any more")
