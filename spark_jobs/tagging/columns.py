"""Measures of many persons as columns that know how sure they are: a value, or the bounds that history leaves.

Where history is not complete, "never" cannot be said: a count may be larger than what is known, a first moment
earlier, and an absent last moment may exist. A column holds the bounds, and whether a value certainly or possibly
exists; comparisons turn these into true, false and unknown.
"""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spark_jobs.tagging.aggregation import ABSENT, Texts
from spark_jobs.tagging.calendar import DAY_US
from spark_jobs.tagging.definitions import (
    Among,
    Attribute,
    Count,
    Days,
    First,
    Last,
    Measure,
    Preference,
    Quantile,
    Ratio,
    Recency,
    Rhythm,
    Selection,
    Sequence,
    Span,
    Sum,
)
from spark_jobs.tagging.frames import Booleans, Integers
from spark_jobs.tagging.moment import NEVER, Moment
from spark_jobs.tagging.plan import BOUGHT, REGISTERED, NumberFeature, Pending, Ranked, TextFeature
from spark_jobs.tagging.ranking import bands_of
from spark_jobs.tagging.vocabulary import decimals_of

Numbers = npt.NDArray[np.float64] | Integers
LOWEST, HIGHEST = ABSENT, NEVER


@dataclass(frozen=True, slots=True)
class Column:
    """One measure of many persons.

    low, high: bounds of the value where one exists (equal where it is known). exists: certainly has a value;
    may_exist: possibly. next_at: when time alone may change it.
    """

    low: Numbers
    high: Numbers
    exists: Booleans
    may_exist: Booleans
    next_at: Integers
    texts: Texts | None = None


@dataclass(frozen=True, slots=True)
class People:
    """Features of many persons, as the first kernel returns them, with the limits of quantile bands."""

    moment: Moment
    numbers: npt.NDArray[np.int64]
    texts: Texts
    limits: dict[Ranked, tuple[int, ...]]
    positions: dict[NumberFeature | TextFeature, int]

    @property
    def count(self) -> int:
        """How many persons."""
        return len(self.numbers)

    def number(self, feature: NumberFeature) -> Integers:
        """A number feature of the plan."""
        return self.numbers[:, self.positions[feature]]

    def text(self, feature: TextFeature) -> Texts:
        """A text feature of the plan."""
        return self.texts[:, self.positions[feature]]

    def among(self, group: Among) -> Booleans:
        """Who belongs to a group: everyone, registered members, or members and whoever bought."""
        if group == "everyone":
            return np.ones(self.count, dtype=np.bool_)
        is_member = self.number(REGISTERED) != ABSENT
        has_bought = self.number(BOUGHT) > 0 if group == "customers" else is_member
        return np.asarray(is_member | has_bought, dtype=np.bool_)

    def is_complete(self, selection: Selection) -> Booleans:
        """For whom all rows of a selection are known: the window, or the person's registration, is young enough."""
        since = self.moment.complete_since[selection.source]
        if selection.source == "members":
            return np.ones(self.count, dtype=np.bool_)  # the register holds everybody
        if selection.window is not None and self.moment.start_of(selection.window) >= since:
            return np.ones(self.count, dtype=np.bool_)
        return np.asarray(self.number(REGISTERED) >= since, dtype=np.bool_)


def column_of(measure: Measure, people: People, *, among: Among, missing_is_unknown: bool) -> Column:
    """The column of a measure for a tag: `among` is the group that quantiles are drawn from."""
    column = _column(measure, people, among)
    if missing_is_unknown and not isinstance(measure, Sequence):
        return _absent_may_exist(column)
    return column


def _column(measure: Measure, people: People, among: Among) -> Column:
    match measure:
        case Ratio(part, whole):
            return _ratio(people, part, whole)
        case Quantile():
            return _band(measure, people, among)
        case Count() | Sum() | Days():
            return _amount(measure, people)
        case First() | Last() | Recency() | Rhythm() | Sequence():
            return _in_time(measure, people)
        case Preference() | Attribute():
            return _text(measure, people)


def _in_time(measure: First | Last | Recency | Rhythm | Sequence, people: People) -> Column:
    match measure:
        case First():
            return _first(measure, people)
        case Last():
            return _last(measure, people)
        case Recency(of):
            return _recency(_last(Last(of), people), of, people)
        case Sequence():
            return _sequence(measure, people)
        case Rhythm():
            value = people.number(measure)
            return _known(value, value != ABSENT, _leaving(measure.of, people))


def _known(values: Numbers, exists: Booleans, next_at: Integers) -> Column:
    return Column(values, values, exists, exists, next_at)


def _never(people: People) -> Integers:
    return np.full(people.count, NEVER, dtype=np.int64)


def _absent_may_exist(column: Column) -> Column:
    # What is absent could be anything: every comparison of it is unknown.
    low = np.where(column.may_exist, column.low, LOWEST)
    high = np.where(column.may_exist, column.high, HIGHEST)
    everyone = np.ones_like(column.exists)
    return Column(low, high, column.exists, everyone, column.next_at, column.texts)


def _leaving(selection: Selection, people: People) -> Integers:
    """When the earliest row leaves the window, or the window leaves the time of which history is not complete."""
    if selection.window is None:
        return _never(people)
    first = people.number(First(selection))
    leaves = people.moment.leaves(np.where(first == ABSENT, 0, first), selection.window)
    since = people.moment.complete_since[selection.source]
    completes = people.moment.leaves(np.array([since - 1]), selection.window)[0]
    leaves = np.where(first == ABSENT, NEVER, leaves)
    return np.where(people.is_complete(selection), leaves, np.minimum(leaves, completes))


def _amount(measure: Count | Sum | Days, people: People) -> Column:
    value, is_complete = people.number(measure), people.is_complete(measure.of)
    everyone = np.ones(people.count, dtype=np.bool_)
    high = np.where(is_complete, value, HIGHEST)  # nothing is negative: what is not known can only add
    return Column(value, high, everyone, everyone, _leaving(measure.of, people))


def _first(measure: First, people: People) -> Column:
    value, exists = people.number(measure), people.number(measure) != ABSENT
    is_complete = people.is_complete(measure.of)
    low = np.where(is_complete, value, LOWEST)
    high = np.where(exists, value, people.moment.complete_since[measure.of.source])
    return Column(low, high, exists, exists | ~is_complete, _leaving(measure.of, people))


def _last(measure: Last, people: People) -> Column:
    value, exists = people.number(measure), people.number(measure) != ABSENT
    is_complete = people.is_complete(measure.of)
    low = np.where(exists, value, LOWEST)
    # A row that nobody knows lies before history is complete, so a known last one is the last.
    high = np.where(exists, value, people.moment.complete_since[measure.of.source])
    return Column(low, high, exists, exists | ~is_complete, _leaving(measure.of, people))


def _recency(last: Column, selection: Selection, people: People) -> Column:
    moment = people.moment
    exists = last.exists
    days = moment.base_day - moment.days(np.where(exists, last.low, moment.base - 1).astype(np.int64))
    value = np.where(exists, days, ABSENT)
    known = np.where(exists, last.low, 0).astype(np.int64)
    older = moment.calendar.earliest(moment.calendar.wall(known) + value * exists * DAY_US) + 1
    next_at = np.where(exists, moment.later(older), NEVER)
    earliest = moment.base_day - int(moment.days(np.array([moment.complete_since[selection.source]]))[0])
    low = np.where(exists, value, earliest)
    high = np.where(exists, value, HIGHEST)
    return Column(low, high, exists, last.may_exist, np.minimum(next_at, last.next_at))


def _sequence(measure: Sequence, people: People) -> Column:
    value, pending = people.number(measure), people.number(Pending(measure))
    exists = value != ABSENT
    window = measure.first.window or Span(1, "days")
    leaves = np.where(exists, people.moment.leaves(np.where(exists, value, 0), window), NEVER)
    return _known(value, exists, np.minimum(leaves, np.where(pending == ABSENT, NEVER, pending)))


def _text(measure: Preference | Attribute, people: People) -> Column:
    texts = people.text(measure)
    exists = np.array([text is not None for text in texts], dtype=np.bool_)
    next_at = _leaving(measure.of, people) if isinstance(measure, Preference) else _never(people)
    nothing = np.zeros(people.count, dtype=np.int64)
    return Column(nothing, nothing, exists, exists, next_at, texts)


def _ratio(people: People, part: Measure, whole: Measure) -> Column:
    sides = [column_of(side, people, among="everyone", missing_is_unknown=False) for side in (part, whole)]
    scales = [10 ** (decimals_of(side) or 0) for side in (part, whole)]
    exists = sides[0].exists & sides[1].exists & (sides[1].low > 0)
    divisor = np.where(exists, sides[1].low, 1) / scales[1]
    value = np.where(exists, sides[0].low / scales[0] / divisor, 0.0)
    return _known(value, exists, np.minimum(sides[0].next_at, sides[1].next_at))


def _band(measure: Quantile, people: People, among: Among) -> Column:
    of = column_of(measure.of, people, among=among, missing_is_unknown=False)
    exists = of.exists & (of.low > 0) & people.among(among)
    limits = people.limits[Ranked(measure, among)]
    values = np.where(exists, of.low, 0).astype(np.int64)
    return _known(np.where(exists, bands_of(values, limits), 0), exists, of.next_at)


def columns_of(
    measures: Many[Measure], people: People, *, among: Among, missing_is_unknown: bool
) -> dict[Measure, Column]:
    """The columns of several measures, each computed once."""
    return {
        measure: column_of(measure, people, among=among, missing_is_unknown=missing_is_unknown) for measure in measures
    }
