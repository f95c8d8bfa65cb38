"""Pace: when a chunk may begin. Hours on a wall clock, bytes a second over chunks, how many at a time, in which order.

No clock and no sleep in here: `pacing.py` asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from migration.documents import key_problems
from spark_jobs.errors import TerminalError

NEWEST, OLDEST, NAME = "newest", "oldest", "name"
ORDERS = (NEWEST, OLDEST, NAME)
PARALLEL = 2
PACE_KEYS: dict[str, tuple[type, bool]] = {
    "bytes_per_s": (object, False),
    "windows": (list, False),
    "zone": (str, False),
    "parallel": (int, False),
    "order": (str, False),
}
RATE = r"(\d+(?:\.\d+)?) ?([kKMGT]?)(i?)B(?:/s)?"
WINDOW = r"([01]\d|2[0-3]):([0-5]\d)-(24:00|([01]\d|2[0-3]):([0-5]\d))"
_PREFIXES = ("", "k", "m", "g", "t")
_MINUTE = timedelta(minutes=1)
_DAY_MINUTES = 24 * 60
# A window that opens once a day may fall into an hour that clocks skip, and then into a day of 25 hours.
_HORIZON_MINUTES = 3 * _DAY_MINUTES
_WEEK_MINUTES = 7 * _DAY_MINUTES
_FORESEEN = timedelta(days=3_650)


@dataclass(frozen=True, slots=True)
class Window:
    """Minutes of the day on a wall clock: since <= minute < until; over midnight where `until` is the smaller one."""

    since: int
    until: int

    def holds(self, minute: int) -> bool:
        """True where the window is open in this minute of the day."""
        if self.since < self.until:
            return self.since <= minute < self.until
        return minute >= self.since or minute < self.until

    def __str__(self) -> str:
        return "-".join(f"{minute // 60:02d}:{minute % 60:02d}" for minute in (self.since, self.until))


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a copy goes; without windows all day, without a rate as fast as it can."""

    bytes_per_s: int | None = None
    windows: tuple[Window, ...] = ()
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    parallel: int = PARALLEL
    order: str = NAME

    def is_open(self, moment: datetime) -> bool:
        """True where a chunk may begin at this moment, as far as windows are concerned."""
        local = moment.astimezone(self.zone)
        return not self.windows or any(window.holds(local.hour * 60 + local.minute) for window in self.windows)

    def opening(self, moment: datetime) -> datetime:
        """The first moment from this one on at which a window is open, UTC.

        It is looked for minute by minute: an hour that clocks skip or repeat needs no thought then.
        """
        if self.is_open(moment):
            return moment
        first = moment.astimezone(UTC).replace(second=0, microsecond=0)
        minutes = (first + number * _MINUTE for number in range(1, _HORIZON_MINUTES))
        return next(minute for minute in minutes if self.is_open(minute))

    def end_of(self, moment: datetime, work: timedelta) -> datetime | None:
        """When so much work ends that begins now and rests outside of windows; None where nobody can foresee it.

        To the minute within a week; beyond, every week is taken for as long as the next one.
        """
        if work > _FORESEEN:
            return None
        if not self.windows:
            return moment + work
        left = work
        for number in range(_WEEK_MINUTES):
            if self.is_open(moment + number * _MINUTE):
                if left <= _MINUTE:
                    return moment + number * _MINUTE + left
                left -= _MINUTE
        return moment + _WEEK_MINUTES * _MINUTE * (work / (work - left))


@dataclass(frozen=True, slots=True)
class Wait:
    """The next chunk begins at `until` and not before, and why; `is_closed`: because no window is open."""

    until: datetime
    reason: str
    is_closed: bool = False


@dataclass(slots=True)
class Schedule:
    """A pace at work: a bucket that chunks empty and the rate fills.

    A chunk may begin when the bucket is full again, and then empties it by its bytes, however many: the next one pays
    for them. What was not used in time is lost: no rush follows a pause.
    """

    pace: Pace
    full_at: datetime | None = None

    def wait(self, moment: datetime) -> Wait | None:
        """Until when the next chunk has to wait; None where it may begin."""
        filled = max(moment, self.full_at or moment)
        until = self.pace.opening(filled)
        if until <= moment:
            return None
        if until == filled:
            return Wait(until, f"{self.pace.bytes_per_s or 0:,} bytes a second")
        hours = ", ".join(map(str, self.pace.windows))
        return Wait(until, f"outside of {hours} {self.pace.zone.key}", is_closed=True)

    def began(self, moment: datetime, size: int) -> None:
        """A chunk of so many bytes began."""
        if self.pace.bytes_per_s:
            self.full_at = moment + timedelta(seconds=size / self.pace.bytes_per_s)


def rate_of(text: object) -> int:
    """Bytes a second of `50MB`, `1.5 GiB/s` or a number; ValueError for anything else."""
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    match = re.fullmatch(RATE, text) if isinstance(text, str) else None
    base = 1024 if match and match[3] else 1000
    rate = float(match[1]) * base ** _PREFIXES.index(match[2].lower()) if match else 0
    if rate < 1:
        raise ValueError(f"{text!r} is no rate such as 50MB")
    return int(rate)


def pace_problems(where: str, given: object) -> list[str]:
    """What is wrong with a section `pace`."""
    problems = key_problems(where, given, PACE_KEYS)
    if problems or not isinstance(given, Mapping):
        return problems
    try:
        rate_of(given.get("bytes_per_s", 1))
    except ValueError as error:
        problems.append(f"{where}: bytes_per_s {error}")
    for text in given.get("windows", []):
        if not isinstance(text, str) or not re.fullmatch(WINDOW, text) or _window(text).since == _window(text).until:
            problems.append(f"{where}: window {text!r} is no span of hours such as '22:00-06:00'")
    if given.get("windows") and "zone" not in given:
        problems.append(f"{where}: windows need a `zone`, such as Asia/Shanghai")
    try:
        ZoneInfo(given.get("zone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones, a name that no file can have
        problems.append(f"{where}: zone {given['zone']!r} is not a zone name such as 'Asia/Shanghai'")
    if given.get("parallel", 1) < 1:
        problems.append(f"{where}: parallel is {given['parallel']}, wanted 1 or more")
    if given.get("order", NAME) not in ORDERS:
        problems.append(f"{where}: order is {given['order']!r}, wanted one of {', '.join(ORDERS)}")
    return problems


def pace_of(given: Mapping[str, Any]) -> Pace:
    """The pace of a section that has no problems."""
    return Pace(
        bytes_per_s=rate_of(given["bytes_per_s"]) if "bytes_per_s" in given else None,
        windows=tuple(_window(text) for text in given.get("windows", [])),
        zone=ZoneInfo(given.get("zone", "UTC")),
        parallel=given.get("parallel", PARALLEL),
        order=given.get("order", NAME),
    )


def overridden(pace: Pace, *, parallel: int | None, rate: str | None, is_now: bool) -> Pace:
    """The job's pace with what the command line says otherwise; TerminalError where its rate is none."""
    try:
        bytes_per_s = pace.bytes_per_s if rate is None else rate_of(rate)
    except ValueError as error:
        raise TerminalError(f"--rate {error}") from error
    windows = () if is_now else pace.windows
    return replace(pace, parallel=parallel or pace.parallel, bytes_per_s=bytes_per_s, windows=windows)


def _window(text: str) -> Window:
    since, until = ([int(part) for part in clock.split(":")] for clock in text.split("-"))
    return Window(since[0] * 60 + since[1], (until[0] * 60 + until[1]) % _DAY_MINUTES)
