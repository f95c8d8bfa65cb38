"""Chunks begin when their pace allows, so many at a time; whoever waits says until when, and can be interrupted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from datetime import UTC, datetime
from typing import Protocol

from migration.chunks import Chunk
from migration.pace import Pace, Schedule, Wait

log = logging.getLogger(__name__)

TICK_S = 0.5
LOGGED_S = 60


class Clock(Protocol):
    """The time, and how to let it pass."""

    def now(self) -> datetime:
        """This moment, UTC."""

    def pause(self, running: set[Future[Chunk]], seconds: float) -> None:
        """Return when one of them has ended, after so many seconds at the latest."""


class WallClock:
    """The machine's."""

    def now(self) -> datetime:
        """This moment, UTC."""
        return datetime.now(UTC)

    def pause(self, running: set[Future[Chunk]], seconds: float) -> None:
        """Return when one of them has ended, after so many seconds at the latest."""
        if running:
            wait(running, timeout=seconds, return_when=FIRST_COMPLETED)
        else:
            time.sleep(seconds)


def paced(
    chunks: Iterator[Chunk],
    start: Callable[[Chunk], Future[Chunk]],
    pace: Pace,
    *,
    check: Callable[[], None],
    waits: Callable[[Wait | None], None],
    clock: Clock | None = None,
) -> Iterator[Chunk]:
    """Start chunks as their pace allows, and give each when it has ended; what one raises is raised.

    `check` is called twice a second and may raise, so that a lost lease ends a wait. `waits` hears of each wait when it
    begins, and None when a chunk began after it.
    """
    clock, schedule = clock or WallClock(), Schedule(pace)
    running: set[Future[Chunk]] = set()
    waiting, told = next(chunks, None), None
    while running or waiting:
        check()
        pause = None
        while waiting and len(running) < pace.parallel and (pause := _pause(schedule, told, clock.now())) is None:
            schedule.began(clock.now(), waiting.bytes)
            running.add(start(waiting))
            waiting = next(chunks, None)
        if pause != told:
            _tell(pause, pace, clock.now())
            waits(pause)
            told = pause
        clock.pause(running, TICK_S if pause is None else _seconds(pause, clock.now()))
        ended = {future for future in running if future.done()}
        running -= ended
        yield from (future.result() for future in ended)


def _pause(schedule: Schedule, told: Wait | None, moment: datetime) -> Wait | None:
    return told if told and told.until > moment else schedule.wait(moment)


def _seconds(pause: Wait, moment: datetime) -> float:
    return min(TICK_S, max(0.0, (pause.until - moment).total_seconds()))


def _tell(pause: Wait | None, pace: Pace, moment: datetime) -> None:
    if pause and (pause.until - moment).total_seconds() >= LOGGED_S:
        log.info(
            "no chunk begins before %s (%s)", pause.until.astimezone(pace.zone).isoformat(" ", "minutes"), pause.reason
        )
