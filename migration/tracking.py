"""How fast a copy goes: what was copied since it began and in the last minutes, what is left, when it will end."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from migration.chunks import Chunk, ChunkState
from migration.pace import Pace, Wait

RECENT = timedelta(minutes=5)
BUCKET = timedelta(seconds=5)
# Fewer chunks than these in the last minutes say little of the next ones.
TELLING_CHUNKS = 3
_UNFORESEEN_S = 1e9


@dataclass(frozen=True, slots=True)
class Amount:
    """Chunks, bytes of their objects, records read (or planned), and those of them that were refused."""

    chunks: int = 0
    bytes: int = 0
    records: int = 0
    refused: int = 0

    def __add__(self, other: Amount) -> Amount:
        """Both together."""
        return Amount(*(mine + its for mine, its in zip(self.values, other.values, strict=True)))

    def __sub__(self, other: Amount) -> Amount:
        """Without the other."""
        return Amount(*(mine - its for mine, its in zip(self.values, other.values, strict=True)))

    @property
    def values(self) -> tuple[int, int, int, int]:
        """As numbers, in order."""
        return self.chunks, self.bytes, self.records, self.refused


@dataclass(frozen=True, slots=True)
class Rate:
    """Records and bytes a second: since the copy began (its waits for a window left out), and in the last minutes."""

    records_per_s: float = 0.0
    bytes_per_s: float = 0.0
    recent_records_per_s: float = 0.0
    recent_bytes_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Figures:
    """A copy at one moment, UTC; amounts and rates by target, and of all targets together. `work_s`: without waits."""

    at: datetime
    work_s: float
    running: int
    done: Mapping[str, Amount]
    left: Mapping[str, Amount]
    rates: Mapping[str, Rate]
    rate: Rate
    ends_at: datetime | None
    wait: Wait | None
    waiting_since: datetime | None

    @property
    def total(self) -> Amount:
        """What was copied of all targets."""
        return sum(self.done.values(), Amount())

    @property
    def total_left(self) -> Amount:
        """What is left of all targets."""
        return sum(self.left.values(), Amount())

    def facts(self) -> dict[str, Any]:
        """As the ledger keeps them."""
        wait = self.wait and {"until": self.wait.until.isoformat(), "reason": self.wait.reason}
        names = ("records_per_s", "bytes_per_s", "recent_records_per_s", "recent_bytes_per_s")
        return {
            "ends_at": self.ends_at and self.ends_at.isoformat(timespec="seconds"),
            "wait": wait,
            "left": dict(zip(("chunks", "bytes", "records"), self.total_left.values, strict=False)),
            **{name: round(getattr(self.rate, name), 1) for name in names},
        }


@dataclass(slots=True)
class Tracker:
    """Hears of every chunk and every wait of one copy; safe to ask from another thread. What it keeps does not grow."""

    planned: Mapping[str, Amount]
    pace: Pace
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _began_at: datetime = field(init=False)
    _done: dict[str, Amount] = field(init=False)
    _recent: deque[tuple[datetime, str, Amount]] = field(default_factory=deque)
    _running: int = 0
    _wait: Wait | None = None
    _waiting_since: datetime | None = None
    _closed_since: datetime | None = None
    _closed: timedelta = timedelta(0)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Begin to count."""
        self._began_at = self.now()
        self._done = dict.fromkeys(self.planned, Amount())

    def began(self, _chunk: Chunk) -> None:
        """A chunk began."""
        with self._lock:
            self._running += 1

    def ended(self, chunk: Chunk) -> None:
        """A chunk was copied, or failed, and then is still to be done."""
        counts = chunk.counts
        amount = Amount(1, chunk.bytes, counts.read if counts else 0, counts.quarantined if counts else 0)
        with self._lock:
            self._running -= 1
            if chunk.state is ChunkState.FAILED:
                return
            self._done[chunk.target] = self._done.get(chunk.target, Amount()) + amount
            self._add_recent(chunk.target, amount)

    def waits(self, wait: Wait | None) -> None:
        """A wait began; None: it is over."""
        with self._lock:
            moment = self.now()
            if self._closed_since:
                self._closed += moment - self._closed_since
            self._closed_since = moment if wait and wait.is_closed else None
            self._waiting_since = (self._waiting_since or moment) if wait else None
            self._wait = wait

    def figures(self) -> Figures:
        """Where the copy stands now."""
        with self._lock:
            moment = self.now()
            closed = self._closed + (moment - self._closed_since if self._closed_since else timedelta(0))
            work_s = max((moment - self._began_at - closed).total_seconds(), 0.001)
            recent = [item for item in self._recent if item[0] > moment - RECENT]
            recent_s = max(min(RECENT, moment - self._began_at).total_seconds(), 0.001)
            done = dict(self._done)
            rates = {target: _rate(done[target], work_s, _sum(recent, {target}), recent_s) for target in done}
            late = _sum(recent, set(done))
            rate = _rate(sum(done.values(), Amount()), work_s, late, recent_s)
            left = {target: amount - done[target] for target, amount in self.planned.items()}
            ends_at = self._end(moment, sum(left.values(), Amount()), rate, is_telling=late.chunks >= TELLING_CHUNKS)
            return Figures(
                moment, work_s, self._running, done, left, rates, rate, ends_at, self._wait, self._waiting_since
            )

    def _add_recent(self, target: str, amount: Amount) -> None:
        moment = self.now()
        last = next((item for item in reversed(self._recent) if item[1] == target), None)
        if last and moment - last[0] < BUCKET:
            self._recent[self._recent.index(last)] = (last[0], target, last[2] + amount)
        else:
            self._recent.append((moment, target, amount))
        while self._recent[0][0] <= moment - RECENT:
            self._recent.popleft()

    def _end(self, moment: datetime, left: Amount, rate: Rate, *, is_telling: bool) -> datetime | None:
        """By bytes, or by records where objects have no size."""
        amount, recent, whole = left.bytes, rate.recent_bytes_per_s, rate.bytes_per_s
        if not amount:
            amount, recent, whole = left.records, rate.recent_records_per_s, rate.records_per_s
        per_s = recent if is_telling and recent else whole
        seconds = 0.0 if not left.chunks else amount / per_s if per_s else _UNFORESEEN_S
        return self.pace.end_of(moment, timedelta(seconds=seconds)) if seconds < _UNFORESEEN_S else None


def _sum(items: Iterable[tuple[datetime, str, Amount]], targets: set[str]) -> Amount:
    return sum((amount for _, target, amount in items if target in targets), Amount())


def _rate(done: Amount, work_s: float, recent: Amount, recent_s: float) -> Rate:
    return Rate(done.records / work_s, done.bytes / work_s, recent.records / recent_s, recent.bytes / recent_s)
