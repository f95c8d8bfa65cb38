"""What rules measure of persons, counted from packed events: the kernel that answers the batch asks it the same way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from services.live.plan import LivePlan
from services.live.records import AT, COUNT, MASK, REGISTERED, SINCE, UNTIL, Rows
from spark_jobs.tagging.features import ABSENT
from spark_jobs.tagging.frames import Codes, Integers, Positions
from spark_jobs.tagging.measures import Count, First, Last, Selection
from spark_jobs.tagging.moment import NEVER, Moment
from spark_jobs.tagging.plan import REGISTERED as REGISTRATION
from spark_jobs.tagging.plan import NumberFeature, TextFeature


@dataclass(frozen=True, slots=True)
class PersonRows:
    """One person: events and registrations as the batch knew them, and events since."""

    base: Rows
    registrations: Rows
    live: Rows


@dataclass
class Counted:
    """The features of several persons at a base time; `plan` says what a bit stands for."""

    plan: LivePlan
    moment: Moment
    persons: int
    owner: Positions
    events: Rows
    holder: Positions
    registrations: Rows
    _found: dict[Selection, Positions] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many persons."""
        return self.persons

    def number(self, feature: NumberFeature) -> Integers:
        """The feature of each person; ABSENT where there is none."""
        if feature == REGISTRATION:
            return self._registered()
        if not isinstance(feature, Count | First | Last):
            raise TypeError(f"{type(feature).__name__} is not counted live")
        found = self._of(feature.of)
        people, at = self.owner[found], self.events[found, AT]
        if isinstance(feature, Count):
            sums = np.zeros(self.persons, dtype=np.int64)
            np.add.at(sums, people, self.events[found, COUNT])
            return sums
        if isinstance(feature, Last):
            latest = np.full(self.persons, ABSENT, dtype=np.int64)
            np.maximum.at(latest, people, at)
            return latest
        earliest = np.full(self.persons, NEVER, dtype=np.int64)
        np.minimum.at(earliest, people, at)
        return np.where(earliest == NEVER, ABSENT, earliest)

    def text(self, feature: TextFeature) -> Codes:
        """Nothing: no live tag looks at a text."""
        del feature
        return Codes.nothing(self.persons)

    def appears(self) -> Integers:
        """When, after the base time, something that is known already begins to count, or to count no more."""
        base, result = self.moment.base, np.full(self.persons, NEVER, dtype=np.int64)
        # An event counts for base times behind it: one that is dated ahead of the clock waits.
        ahead = np.flatnonzero(self.events[:, AT] >= base)
        np.minimum.at(result, self.owner[ahead], self.events[ahead, AT] + 1)
        for column in (SINCE, UNTIL):
            later = np.flatnonzero(self.registrations[:, column] > base)
            np.minimum.at(result, self.holder[later], self.registrations[later, column])
        return result

    def _registered(self) -> Integers:
        base, records = self.moment.base, self.registrations
        holds = (records[:, SINCE] <= base) & (records[:, UNTIL] > base)
        earliest = np.full(self.persons, NEVER, dtype=np.int64)
        np.minimum.at(earliest, self.holder[holds], records[holds, REGISTERED])
        return np.where(earliest == NEVER, ABSENT, earliest)

    def _of(self, selection: Selection) -> Positions:
        """The events of a selection: those that pass its filter, in its window, before the base time."""
        if selection not in self._found:
            at, bit = self.events[:, AT], self.plan.bit_of(selection.where)
            passes = ((self.events[:, MASK] & bit) != 0) & (at < self.moment.base)
            if selection.window is not None:
                passes &= at >= self.moment.start_of(selection.window)
            self._found[selection] = np.flatnonzero(passes)
        return self._found[selection]


def counted(persons: Sequence[PersonRows], plan: LivePlan, base: int) -> Counted:
    """The features of persons, in their order."""
    places = np.arange(len(persons))
    owner = np.repeat(places, [len(one.base) + len(one.live) for one in persons])
    events = np.concatenate([part for one in persons for part in (one.base, one.live)])
    holder = np.repeat(places, [len(one.registrations) for one in persons])
    registrations = np.concatenate([one.registrations for one in persons])
    return Counted(plan, plan.at(base), len(persons), owner, events, holder, registrations)
