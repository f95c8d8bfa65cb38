"""Cut-over, rollback, finish: readers' view is switched in one statement, after a barrier, and back until `finish`.

Each step is noted before its statement is sent, and `trino_catalog.apply` looks at the note after its own: whichever of
two statements comes last, it is the one that was noted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from migration.gate import check_green
from migration.jobfile import Switch
from migration.seam import check_seam
from migration.switches import CUT_OVER, CUTTING_OVER, FINISHED, NEW, OLD, ROLLED_BACK, Noted, newest, note
from migration.work import Work
from spark_jobs.errors import TerminalError
from trino_catalog.connection import Trino

log = logging.getLogger(__name__)

Barrier = Callable[[], Mapping[int, int]]  # waits for the live stream; the offsets that it has passed


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


def cut_over(work: Work, client: Trino, barrier: Barrier) -> dict[str, Any]:
    """Switch the readers' view to the new side; readers see old or new, never neither.

    What was sent between the seam and the barrier is in the tables when they are looked at: a key that it brought again
    is seen.
    """
    switch = switch_of(work)
    _refuse_finished(switch, newest(work.lake, switch.view))
    offsets = {str(partition): offset for partition, offset in sorted(barrier().items())}
    seam = check_seam(work.lake, work.job.name)
    facts = {"versions": check_green(work), "seam": seam and seam.facts()["offsets"], "barrier": offsets}

    def noted(step: str) -> Callable[[], None]:
        return lambda: note(work, switch.view, step, side=NEW, facts=facts)

    def back() -> None:
        note(work, switch.view, ROLLED_BACK, side=OLD, facts={"reason": "cut-over did not complete"})
        client.ask(switch.old.statement)

    def switched() -> None:
        client.ask(switch.new.statement)

    def answers() -> None:
        client.ask(f"SELECT 1 FROM lake.{switch.view} LIMIT 1")

    def nothing() -> None:
        return

    run_steps(
        [
            Step("note what is about to happen", noted(CUTTING_OVER), back),
            Step(f"switch {switch.view} to the new tables", switched, nothing),
            Step(f"ask {switch.view}", answers, nothing),
            Step("note that it happened", noted(CUT_OVER), nothing),
        ]
    )
    return {"view": switch.view, **facts}


def roll_back(work: Work, client: Trino) -> dict[str, Any]:
    """Switch the view back to the old side; the new tables and what is written to them stay. Safe to repeat."""
    switch = switch_of(work)
    last = newest(work.lake, switch.view)
    if last is None:
        raise TerminalError(f"{switch.view} was never cut over; there is nothing to roll back")
    _refuse_finished(switch, last)
    note(work, switch.view, ROLLED_BACK, side=OLD, facts={})
    client.ask(switch.old.statement)
    return {"view": switch.view}


def finish(work: Work) -> dict[str, Any]:
    """Leave readers on the new side for good: no plan moves this view any more. Nothing of the old side is deleted."""
    switch = switch_of(work)
    last = newest(work.lake, switch.view)
    if last is not None and last.step == FINISHED:
        return {"view": switch.view, **last.facts}
    if last is None or last.step != CUT_OVER:
        found = "was never cut over" if last is None else f"is {last.step} since {last.at:%Y-%m-%d %H:%M:%S} UTC"
        raise TerminalError(f"{switch.view} {found}; only what is cut over can be finished")
    facts = {"versions": check_green(work)}
    note(work, switch.view, FINISHED, side=NEW, facts=facts)
    return {"view": switch.view, **facts}


def _refuse_finished(switch: Switch, last: Noted | None) -> None:
    if last is not None and last.step == FINISHED:
        raise TerminalError(
            f"{switch.view} was finished at {last.at:%Y-%m-%d %H:%M:%S} UTC: its readers stay on the new side for good"
        )
