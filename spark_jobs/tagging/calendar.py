"""The workspace's calendar over whole arrays of instants: days, months and clock changes, without a loop.

Instants are microseconds since 1970 UTC, as int64. Day arithmetic moves the clock on the wall: 90 days before
midnight is midnight, whether or not the clocks changed in between. A wall time that a clock change skips means the
moment that much later, one that comes twice means its first coming (as java.time and zoneinfo have it).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from spark_jobs.errors import TerminalError
from spark_jobs.tagging.measures import Span

Instants = npt.NDArray[np.int64]

SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR_AHEAD = 12
FIRST_YEAR = 1970


@dataclass(frozen=True, slots=True)
class Calendar:
    """Changes of a zone's offset: instants (UTC) and the offsets between them, one more than the instants."""

    changes: Instants
    offsets: Instants

    @property
    def fingerprint(self) -> str:
        """16 hex digits of all changes: another release of the time zones' data that moves one is another calendar."""
        return hashlib.sha256(self.changes.tobytes() + self.offsets.tobytes()).hexdigest()[:16]

    def wall(self, instants: Instants) -> Instants:
        """What the clock on the wall shows, as microseconds since 1970 there."""
        return np.asarray(
            instants + self.offsets[np.searchsorted(self.changes, instants, side="right")], dtype=np.int64
        )

    def instant(self, wall: Instants) -> Instants:
        """The instant of a wall time: of a repeated one the first, of a skipped one the moment as much later."""
        return np.asarray(
            wall - self.offsets[np.searchsorted(self._turns(np.maximum), wall, side="right")], dtype=np.int64
        )

    def earliest(self, wall: Instants) -> Instants:
        """Like `instant`, but of a skipped wall time the moment as much earlier: no later than any reading of it."""
        late = wall - self.offsets[np.searchsorted(self._turns(np.minimum), wall, side="right")]
        return np.asarray(np.minimum(late, self.instant(wall)), dtype=np.int64)

    def shift(self, instants: Instants, span: Span, *, sign: int) -> Instants:
        """Each instant moved by the span, forwards (1) or back (-1)."""
        if span.unit == "hours":
            return instants + sign * span.amount * HOUR_US
        return self.instant(_moved(self.wall(instants), span, sign))

    def leaves(self, instants: Instants, span: Span) -> Instants:
        """The first base time at which an instant may lie before [base - span, base): never later than it does."""
        if span.unit == "hours":
            return instants + span.amount * HOUR_US + 1
        return self.earliest(_moved(self.wall(instants), span, 1)) + 1

    def _turns(self, pick: np.ufunc) -> Instants:
        return np.asarray(self.changes + pick(self.offsets[:-1], self.offsets[1:]), dtype=np.int64)


def _moved(wall: Instants, span: Span, sign: int) -> Instants:
    if span.unit == "days":
        return wall + sign * span.amount * DAY_US
    days = np.floor_divide(wall, DAY_US)
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    target = months + np.timedelta64(sign * span.amount, "M")
    # 31 May minus 3 months is the last day of February.
    last = (target + np.timedelta64(1, "M")).astype("datetime64[D]") - np.timedelta64(1, "D")
    moved = np.minimum(target.astype("datetime64[D]") + (dates - months.astype("datetime64[D]")), last)
    return np.asarray(moved.astype(np.int64) * DAY_US + (wall - days * DAY_US), dtype=np.int64)


@cache
def calendar_of(zone: ZoneInfo, *, until_year: int) -> Calendar:
    """The zone's changes from 1970 to some years after the given one."""
    changes, offsets = [], [_offset(zone, datetime(FIRST_YEAR, 1, 1, tzinfo=UTC))]
    day, end = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(until_year + _LAST_YEAR_AHEAD, 1, 1, tzinfo=UTC)
    while day < end:
        following = day + timedelta(days=1)
        offset = _offset(zone, following)
        if offset != offsets[-1]:
            changes.append(micros(_change_between(zone, day, following)))
            offsets.append(offset)
        day = following
    return Calendar(np.array(changes, dtype=np.int64), np.array(offsets, dtype=np.int64))


def _change_between(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first second with the offset of `after`."""
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=int((after - before).total_seconds()) // 2)
        before, after = (before, middle) if _offset(zone, middle) == _offset(zone, after) else (middle, after)
    return after


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    offset = moment.astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Microseconds since 1970 of an aware moment."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(instant: int) -> datetime:
    """The aware moment of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=instant)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a day of the workspace begins, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def day_of(text: str) -> date:
    """The date of `2018-01-01`; TerminalError where the text names none."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise TerminalError(f"--day is {text!r}, wanted a date such as 2018-01-01") from error


def instant_of(text: str) -> datetime:
    """The instant of `2018-01-01T03:00:00+00:00`; TerminalError where the text names none."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise TerminalError(f"--as-of is {text!r}, wanted an instant such as 2018-01-01T03:00:00+00:00") from error
    if instant.tzinfo is None:
        raise TerminalError(f"--as-of is {text!r}, wanted an instant with its offset, such as {text}+00:00")
    return instant


def base_of(text: str, zone: ZoneInfo) -> datetime:
    """The base time of `2018-01-01T00:00`, a wall time of the workspace, as an instant; TerminalError where it is none.

    A wall time that a clock change skips or repeats is refused: it would not say which moment is meant.
    """
    try:
        wall = datetime.fromisoformat(text)
    except ValueError as error:
        raise TerminalError(f"--base is {text!r}, wanted a time of the workspace such as 2018-01-01T00:00") from error
    if wall.tzinfo is not None:
        raise TerminalError(
            f"--base is {text!r}: it has an offset; give the time on the wall in {zone.key} without one"
        )
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first != second:
        raise TerminalError(f"--base is {text!r}: the clocks in {zone.key} change then; choose another time of the day")
    return first
