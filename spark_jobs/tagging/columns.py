"""Measures of many persons as columns that know how sure they are: a value, or the bounds that history leaves.

Where history is not complete, "never" cannot be said: a count may be larger than what is known, a first moment
earlier, and an absent last moment may exist. A column holds the bounds, and whether a value certainly or possibly
exists; comparisons turn these into true, false and unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from spark_jobs.tagging.definitions import Among
from spark_jobs.tagging.features import ABSENT, Features
from spark_jobs.tagging.frames import Booleans, Codes, Integers
from spark_jobs.tagging.limits import Limits
from spark_jobs.tagging.measures import Selection
from spark_jobs.tagging.moment import NEVER, Moment
from spark_jobs.tagging.plan import BOUGHT, REGISTERED, NumberFeature, TextFeature

LOWEST, HIGHEST = ABSENT, NEVER


@dataclass(frozen=True, slots=True)
class Column:
    """One measure of many persons.

    low, high: bounds of the value where one exists (equal where it is known). exists: certainly has a value;
    may_exist: possibly. next_at: when time alone may change it. per: what a ratio's part, in low, is divided by.
    """

    low: Integers
    high: Integers
    exists: Booleans
    may_exist: Booleans
    next_at: Integers
    texts: Codes | None = None
    per: Integers | None = None


@dataclass(frozen=True, slots=True)
class People:
    """Features of many persons with the limits of quantile bands; what several rules ask for is kept."""

    moment: Moment
    features: Features
    limits: Limits
    answered: dict[str, Column] = field(default_factory=dict)  # of tags that others look at
    groups: dict[Among, Booleans] = field(default_factory=dict)
    complete: dict[int, Booleans] = field(default_factory=dict)  # since when each was registered late enough
    leaving: dict[Selection, Integers] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many persons."""
        return self.features.count

    def number(self, feature: NumberFeature) -> Integers:
        """A number feature of the plan."""
        return self.features.number(feature)

    def text(self, feature: TextFeature) -> Codes:
        """A text feature of the plan."""
        return self.features.text(feature)

    def among(self, group: Among) -> Booleans:
        """Who belongs to a group: everyone, registered members, or members and whoever bought."""
        if group not in self.groups:
            self.groups[group] = self._among(group)
        return self.groups[group]

    def _among(self, group: Among) -> Booleans:
        if group == "everyone":
            return np.ones(self.count, dtype=np.bool_)
        is_member = self.number(REGISTERED) != ABSENT
        has_bought = self.number(BOUGHT) > 0 if group == "customers" else is_member
        return np.asarray(is_member | has_bought, dtype=np.bool_)

    def is_complete(self, selection: Selection) -> Booleans:
        """For whom all rows of a selection are known: the window, or the person's registration, is young enough."""
        since = self.moment.complete_since[selection.source]
        is_young = selection.window is not None and self.moment.start_of(selection.window) >= since
        if is_young or selection.source == "members":
            return self.among("everyone")  # the register holds everybody
        if since not in self.complete:
            self.complete[since] = self.number(REGISTERED) >= since
        return self.complete[since]


def known_column(values: Integers, exists: Booleans, next_at: Integers) -> Column:
    """A column of values that are certain where they exist."""
    return Column(values, values, exists, exists, next_at)


def never(people: People) -> Integers:
    """What time alone never changes."""
    return np.full(people.count, NEVER, dtype=np.int64)


def absent_may_exist(column: Column) -> Column:
    """The column in which what is absent could be anything: every comparison of it is unknown."""
    low = np.where(column.may_exist, column.low, LOWEST)
    high = np.where(column.may_exist, column.high, HIGHEST)
    everyone = np.ones_like(column.exists)
    return Column(low, high, column.exists, everyone, column.next_at, column.texts, column.per)


def unknown_column(people: People) -> Column:
    """A column of which nothing is known of anybody."""
    nobody, everyone = np.zeros(people.count, dtype=np.bool_), np.ones(people.count, dtype=np.bool_)
    low, high = (np.full(people.count, bound, dtype=np.int64) for bound in (LOWEST, HIGHEST))
    return Column(
        low, high, nobody, everyone, never(people), Codes.nothing(people.count), np.ones(people.count, dtype=np.int64)
    )
