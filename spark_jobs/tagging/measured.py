"""The column of each kind of measure, made of the features of many persons."""

from __future__ import annotations

from collections.abc import Sequence as Many
from dataclasses import replace

import numpy as np

from spark_jobs.tagging.calendar import DAY_US
from spark_jobs.tagging.columns import (
    HIGHEST,
    LOWEST,
    Column,
    People,
    absent_may_exist,
    known_column,
    never,
    unknown_column,
)
from spark_jobs.tagging.definitions import Among
from spark_jobs.tagging.features import ABSENT
from spark_jobs.tagging.frames import Integers
from spark_jobs.tagging.measures import (
    Attribute,
    Between,
    Count,
    Days,
    Distribution,
    First,
    Given,
    Last,
    Measure,
    Preference,
    Quantile,
    Ratio,
    Recency,
    Rhythm,
    Score,
    Selection,
    Sequence,
    Since,
    Span,
    Sum,
    TagValue,
    Then,
)
from spark_jobs.tagging.moment import NEVER
from spark_jobs.tagging.plan import Pending, Ranked, sources_of_measure
from spark_jobs.tagging.ranking import bands_of


def column_of(measure: Measure, people: People, *, among: Among, missing_is_unknown: bool) -> Column:
    """The column of a measure for a tag: `among` is the group that quantiles are drawn from."""
    unrecorded = people.moment.unrecorded
    if unrecorded and sources_of_measure(measure) & unrecorded:
        return unknown_column(people)
    column = _column(measure, people, among)
    if missing_is_unknown and not isinstance(measure, Sequence | Then | TagValue):
        return absent_may_exist(column)
    return column


def columns_of(
    measures: Many[Measure], people: People, *, among: Among, missing_is_unknown: bool
) -> dict[Measure, Column]:
    """The columns of several measures, each computed once."""
    return {
        measure: column_of(measure, people, among=among, missing_is_unknown=missing_is_unknown) for measure in measures
    }


def _column(measure: Measure, people: People, among: Among) -> Column:
    match measure:
        case Ratio(part, whole):
            return _ratio(people, part, whole)
        case Quantile():
            return _band(measure, people, among)
        case Count() | Sum() | Days() | Between() | Score():
            return _amount(measure, people)
        case Preference() | Distribution() | Attribute() | Given():
            return _text(measure, people)
        case TagValue(tag):
            return people.answered[tag]
        case _:
            return _in_time(measure, people)


def _in_time(measure: First | Last | Recency | Since | Rhythm | Sequence | Then, people: People) -> Column:
    match measure:
        case First():
            return _first(measure, people)
        case Last():
            return _last(measure, people)
        case Recency(of):
            return _days_back(_last(Last(of), people), of, people)
        case Since(of):
            return _days_since(of, people)
        case Sequence() | Then():
            return _sequence(measure, people)
        case Rhythm():
            value = people.number(measure)
            return known_column(value, value != ABSENT, _leaving(measure.of, people))


def _leaving(selection: Selection, people: People) -> Integers:
    """When the earliest row leaves the window, or the window leaves the time of which history is not complete."""
    if selection not in people.leaving:
        people.leaving[selection] = _leaves(selection, people)
    return people.leaving[selection]


def _leaves(selection: Selection, people: People) -> Integers:
    leaves = never(people)
    if selection.window is None:
        return leaves
    first = people.number(First(selection))
    known = np.flatnonzero(first != ABSENT)
    leaves[known] = people.moment.leaves(first[known], selection.window)
    is_complete = people.is_complete(selection)
    if is_complete.all():
        return leaves
    since = people.moment.complete_since[selection.source]
    completes = people.moment.leaves(np.array([since - 1]), selection.window)[0]
    return np.where(is_complete, leaves, np.minimum(leaves, completes))


def _amount(measure: Count | Sum | Days | Between | Score, people: People) -> Column:
    value = people.number(measure)
    everyone = np.ones(people.count, dtype=np.bool_)
    if isinstance(measure, Score):
        return known_column(value, value != ABSENT, never(people))
    is_complete, leaving = people.is_complete(measure.of), _leaving(measure.of, people)
    # Nothing is negative: what is not known can only add.
    if isinstance(measure, Between):
        exists = value != ABSENT
        low, high = np.where(exists, value, 0), np.where(is_complete & exists, value, HIGHEST)
        return Column(low, high, exists, exists | ~is_complete, leaving)
    return Column(value, np.where(is_complete, value, HIGHEST), everyone, everyone, leaving)


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


def _days_back(last: Column, selection: Selection, people: People) -> Column:
    moment, exists = people.moment, last.exists
    value, next_at = _aged(np.where(exists, last.low, ABSENT), people)
    earliest = moment.base_day - int(moment.days(np.array([moment.complete_since[selection.source]]))[0])
    low = np.where(exists, value, earliest)
    high = np.where(exists, value, HIGHEST)
    return Column(low, high, exists, last.may_exist, np.minimum(next_at, last.next_at))


def _days_since(selection: Selection, people: People) -> Column:
    first, moment = _first(First(selection), people), people.moment
    # Where history is not complete the first row may lie any number of days earlier.
    value, next_at = _aged(np.where(first.exists, first.high, ABSENT), people)
    earliest = moment.base_day - int(moment.days(np.array([moment.complete_since[selection.source]]))[0])
    low = np.where(first.exists, value, earliest)
    high = np.where(first.exists & people.is_complete(selection), value, HIGHEST)
    return Column(low, high, first.exists, first.may_exist, np.minimum(next_at, first.next_at))


def _aged(instants: Integers, people: People) -> tuple[Integers, Integers]:
    """Days back to each instant, and when it will be one more; ABSENT and NEVER where there is none."""
    moment, calendar = people.moment, people.moment.calendar
    value, next_at = np.full(people.count, ABSENT, dtype=np.int64), never(people)
    known = np.flatnonzero(instants != ABSENT)
    found = instants[known]
    value[known] = moment.base_day - moment.days(found)
    next_at[known] = moment.later(calendar.earliest(calendar.wall(found) + value[known] * DAY_US) + 1)
    return value, next_at


def _sequence(measure: Sequence | Then, people: People) -> Column:
    value = people.number(measure)
    exists = value != ABSENT
    window = measure.first.window or Span(1, "days")
    leaves = never(people)
    leaves[exists] = people.moment.leaves(value[exists], window)
    if isinstance(measure, Then):
        return known_column(value, exists, leaves)
    pending = people.number(Pending(measure))
    return known_column(value, exists, np.minimum(leaves, np.where(pending == ABSENT, NEVER, pending)))


def _text(measure: Preference | Distribution | Attribute | Given, people: People) -> Column:
    texts = people.text(measure)
    exists = texts.codes >= 0
    next_at = _leaving(measure.of, people) if isinstance(measure, Preference | Distribution) else never(people)
    nothing = np.zeros(people.count, dtype=np.int64)
    return replace(known_column(nothing, exists, next_at), texts=texts)


def _ratio(people: People, part: Measure, whole: Measure) -> Column:
    sides = [column_of(side, people, among="everyone", missing_is_unknown=False) for side in (part, whole)]
    exists = sides[0].exists & sides[1].exists & (sides[1].low > 0)
    value, per = np.where(exists, sides[0].low, 0), np.where(exists, sides[1].low, 1)
    return replace(known_column(value, exists, np.minimum(sides[0].next_at, sides[1].next_at)), per=per)


def _band(measure: Quantile, people: People, among: Among) -> Column:
    of = column_of(measure.of, people, among=among, missing_is_unknown=False)
    exists = of.exists & (of.low > 0) & people.among(among)
    limits = people.limits[Ranked(measure, among)]
    values = np.where(exists, of.low, 0)
    return known_column(np.where(exists, bands_of(values, limits), 0), exists, of.next_at)
