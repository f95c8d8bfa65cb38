"""The base time with everything that answers depend on: calendar, and since when each source is complete."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np

from spark_jobs.tagging.calendar import DAY_US, Calendar, Instants, calendar_of, micros, start_of_day
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.measures import Span
from spark_jobs.tagging.vocabulary import SOURCES

NEVER = int(np.iinfo(np.int64).max)
# Near a clock change one wall time may be two instants: where ageing is due but not yet seen, look again this soon.
_LOOK_AGAIN_US = 15 * 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """A base time in a workspace; instants are microseconds since 1970 UTC.

    complete_since: source to the instant from which its history is complete; NEVER where it is not recorded.
    """

    base: int
    zone: str
    calendar: Calendar
    complete_since: dict[str, int]

    @property
    def unrecorded(self) -> frozenset[str]:
        """Sources of which there are no rows, so that nothing can be said of them."""
        return frozenset(source for source, since in self.complete_since.items() if since == NEVER)

    def start_of(self, span: Span | None) -> int:
        """Where the window [base - span, base) begins; the beginning of time without one."""
        if span is None:
            return int(np.iinfo(np.int64).min)
        return int(self.calendar.shift(np.array([self.base]), span, sign=-1)[0])

    def leaves(self, instants: Instants, span: Span) -> Instants:
        """When, after the base time, each instant may leave a window of this length."""
        return self.later(self.calendar.leaves(instants, span))

    def later(self, due: Instants) -> Instants:
        """Due moments, none of them before or at the base time."""
        return np.where(due > self.base, due, self.base + _LOOK_AGAIN_US)

    def days(self, instants: Instants) -> Instants:
        """The day of each instant, as a number; the days of a base time begin at its time on the wall.

        At a base time of midnight these are the days of the calendar. The day that ends at the base time is the
        largest number.
        """
        wall = int(self.calendar.wall(np.array([self.base]))[0])
        first = int(np.floor_divide(self.calendar.wall(instants).min(initial=wall), DAY_US)) - 1
        numbers = np.arange(first, wall // DAY_US + 2)
        begins = self.calendar.instant(numbers * DAY_US + wall % DAY_US)
        return np.asarray(numbers[np.searchsorted(begins, instants, side="right") - 1], dtype=np.int64)

    def dates(self, instants: Instants) -> Instants:
        """The date of each instant in the workspace, as days since 1970."""
        return np.asarray(np.floor_divide(self.calendar.wall(instants), DAY_US), dtype=np.int64)

    @property
    def base_day(self) -> int:
        """The number of the day that begins at the base time."""
        return int(self.calendar.wall(np.array([self.base]))[0]) // DAY_US


def moment_at(base: datetime, zone: ZoneInfo, *, complete_since: date, catalogue: Catalogue) -> Moment:
    """The moment of a base time; a source's own date in the catalogue overrides the workspace's."""
    head = catalogue.head
    own = {source: date.fromisoformat(day) for source, day in head.complete_since}
    since = {source: micros(start_of_day(own.get(source, complete_since), zone)) for source in SOURCES}
    since |= dict.fromkeys(head.unrecorded, NEVER)
    return Moment(micros(base), zone.key, calendar_of(zone, until_year=base.year), since)
