"""Whoever watches a copy is told at intervals, by a thread of its own: nothing that fails in it stops the copy."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from migration import activity
from migration.metrics import write_metrics
from migration.pace import Pace
from migration.progress import shown
from migration.progress_table import sweep_progress, write_progress
from migration.tracking import Figures, Tracker
from migration.waiting import left
from migration.work import Work

log = logging.getLogger(__name__)

TICK_S = 0.5
NOTED_EVERY_S = 10.0
WRITTEN_EVERY_S = 60.0
SWEPT_EVERY_S = 600.0


@dataclass(slots=True)
class Listener:
    """Somebody who is told every so many seconds, and at the end; what he cannot do is counted and logged.

    Not at the end where the verb's own end does the same.
    """

    name: str
    every_s: float
    tell: Callable[[Figures], None]
    is_told_at_end: bool = True
    failures: int = 0
    due: float = 0.0

    def told(self, figures: Figures) -> None:
        """Tell him now."""
        self.due = time.monotonic() + self.every_s
        try:
            self.tell(figures)
        except Exception as error:  # noqa: BLE001 - whatever it is, the copy goes on
            self.failures += 1
            log.warning("%s failed, %d times so far: %s", self.name, self.failures, first_line(error))


@contextmanager
def watched(work: Work, pace: Pace, *, metrics: Path | None = None) -> Iterator[Tracker]:
    """Somebody who hears of each chunk and wait of a copy, and tells the terminal, the ledger, SQL and Prometheus."""
    plan_id = work.plan.plan_id
    tracker = Tracker(left(work.ledger, plan_id), pace)
    measured = partial(write_metrics, work.ledger, work.plan, metrics)
    with shown(tracker.figures()) as (every_s, show):
        listeners = [
            Listener("the display", every_s, show),
            Listener(
                "noting the pace", NOTED_EVERY_S, lambda found: activity.renew(work.ledger, plan_id, found.facts())
            ),
            Listener(
                "writing migration.progress", WRITTEN_EVERY_S, partial(write_progress, work), is_told_at_end=False
            ),
            Listener("writing the metrics", WRITTEN_EVERY_S, measured, is_told_at_end=False),
            Listener(
                "sweeping migration.progress", SWEPT_EVERY_S, lambda _: sweep_progress(work), is_told_at_end=False
            ),
        ]
        with telling(tracker, listeners):
            yield tracker


@contextmanager
def telling(tracker: Tracker, listeners: Sequence[Listener]) -> Iterator[None]:
    """Tell each listener when it is due, and once more at the end."""
    ended = threading.Event()
    thread = threading.Thread(target=_tell_until, args=(ended, tracker, listeners), daemon=True, name="watching")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _tell_until(ended: threading.Event, tracker: Tracker, listeners: Sequence[Listener]) -> None:
    begin = time.monotonic()
    for listener in listeners:
        listener.due = begin + listener.every_s
    while not ended.wait(TICK_S):
        for listener in listeners:
            if listener.due <= time.monotonic():
                listener.told(tracker.figures())
    for listener in listeners:
        if listener.is_told_at_end:
            listener.told(tracker.figures())


def attempted(name: str, act: Callable[[], None]) -> None:
    """Do something that only informs: where it fails, that is logged, and the verb goes on."""
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever it is, what the verb did stands
        log.warning("%s failed: %s", name, first_line(error))


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
