"""What follows a workspace's events: the generation in force, the one that waits beside it, and the switch to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from services.live import outbox, progress
from services.live.definitions import facts_from
from services.live.following import Follower, Step
from services.live.metrics import Metrics
from services.live.progress import Progress
from services.live.topic import Source
from services.profiles import generations
from services.profiles.database import Database, GoneError
from spark_jobs.errors import TerminalError

log = logging.getLogger(__name__)

MESSAGES_AT_ONCE = 5000
WAIT_MS = 200
# So long at most the generation in force waits for the one that comes after it.
CATCH_UP_S = 1.0
_LAG_EVERY_S = 5.0


class Outgoing(Protocol):
    """Who sends what the outbox holds."""

    def send(self) -> int:
        """Send some of it; how many messages."""

    def close(self) -> None:
        """Let go of the broker."""


def now_us() -> int:
    """Microseconds since 1970 UTC."""
    return time.time_ns() // 1000


class Service:
    """One workspace; for who holds its lock. After an error it must be made anew."""

    def __init__(
        self,
        database: Database,
        workspace: str,
        open_source: Callable[[], Source],
        *,
        metrics: Metrics,
        sender: Outgoing | None = None,
        clock: Callable[[], int] = now_us,
    ) -> None:
        """Nothing is followed yet. sender: None leaves messages in the outbox."""
        self._database, self._workspace, self._open_source = database, workspace, open_source
        self._metrics, self._sender, self._clock = metrics, sender, clock
        self._served: Follower | None = None
        self._waiting: Follower | None = None
        self._ends: dict[int, int] = {}
        self.refused: dict[int, TerminalError] = {}  # generations that can never be served, and why
        self._lag_at, self._messages = float("-inf"), 0

    def turn(self, *, wait_ms: int = WAIT_MS) -> int:
        """Move on what there is; how many messages were read. Waits for the first one so long at most."""
        self._look()
        read = 0
        if self._served is not None:
            step = self._served.step(self._clock, wait_ms=0 if self._waiting else wait_ms, most=MESSAGES_AT_ONCE)
            read = self._noted(step)
        if self._waiting is not None:
            read += self._catch_up(self._waiting)
        if self._served is None and self._waiting is None:
            time.sleep(wait_ms / 1000)
        if self._sender is not None:
            self._messages += self._sender.send()
        self._tell()
        return read

    def close(self) -> None:
        """Let go of the topic; what was committed stands."""
        for follower in (self._served, self._waiting):
            if follower is not None:
                follower.close()
        if self._sender is not None:
            self._sender.close()
        self._served, self._waiting, self._sender = None, None, None

    def _look(self) -> None:
        """Follow what the store says is in force, and what waits."""
        pointer = generations.pointer_of(self._database, self._workspace)
        wanted = None if pointer is None else pointer.live_no
        if self._served is not None and self._served.at.number != wanted:
            self._served.close()
            self._served = None
        if self._served is None and wanted is not None:
            if (known := progress.progress_of(self._database, wanted)) is None:
                raise GoneError(f"generation {wanted} of live tags is not there")
            self._served = self._follower(known)
        waiting = progress.waiting_of(self._database, self._workspace)
        if self._waiting is not None and (waiting is None or waiting.number != self._waiting.at.number):
            self._waiting.close()
            self._waiting = None
        if self._waiting is None and waiting is not None and waiting.number not in self.refused:
            self._waiting = self._begun(waiting)

    def _begun(self, waiting: Progress) -> Follower | None:
        """A follower of what waits; None where it can never be served, which must not end what is."""
        try:
            follower = self._follower(waiting)
        except TerminalError as error:
            log.error("generation %d of live tags is never served: %s", waiting.number, error)
            self.refused[waiting.number] = error
            return None
        self._ends = follower.ends()
        return follower

    def _follower(self, of: Progress) -> Follower:
        generation = generations.generation(self._database, of.number)
        if generation is None:
            raise GoneError(f"generation {of.number} of live tags is not there")
        source = self._open_source()
        try:
            return Follower(self._database, of, facts_from(generation.facts), source)
        except BaseException:
            source.close()
            raise

    def _catch_up(self, waiting: Follower) -> int:
        read, until = 0, time.monotonic() + CATCH_UP_S
        while time.monotonic() < until:
            step = waiting.step(self._clock, wait_ms=20, most=MESSAGES_AT_ONCE, idle_us=0)
            read += sum(step.outcomes.values())
            if self._is_caught_up(waiting):
                self._switch(waiting)
                break
        return read

    def _is_caught_up(self, waiting: Follower) -> bool:
        """Whether no answer would go back: in the topic and in time it has come as far as what is served."""
        at = waiting.at
        if self._served is None:
            goal, moment = self._ends, waiting.facts.base + 1
        else:
            goal, moment = dict(self._served.at.offsets), self._served.at.reached
        return at.as_of >= moment and all(at.offsets.get(partition, 0) >= offset for partition, offset in goal.items())

    def _switch(self, waiting: Follower) -> None:
        to = replace(waiting.at, state="followed", writes=waiting.at.writes + 1)
        with self._database.transaction():
            progress.advance(self._database, to)
            outbox.begin(self._database, to)
            generations.switch(self._database, replace(to.pointer, loaded_at=generations.now_text()))
        waiting.at = to
        if self._served is not None:
            self._served.close()
        self._served, self._waiting = waiting, None
        log.info("%s: live tags of publication %d are served", self._workspace, to.pointer.publication)

    def _noted(self, step: Step) -> int:
        now = self._clock()
        self._metrics.count(step.outcomes, [max(0, now - at) / 1e6 for at in step.at])
        return sum(step.outcomes.values())

    def _tell(self) -> None:
        if (now := time.monotonic()) - self._lag_at < _LAG_EVERY_S:
            return
        self._lag_at = now
        waits = float(self._waiting is not None)
        self._metrics.tell(waiting_generations=waits, sent_messages=self._messages)
        if self._served is not None:
            age = max(0, self._clock() - self._served.at.as_of) / 1e6
            self._metrics.tell(lag_messages=sum(self._served.lag().values()), age_seconds=age)
