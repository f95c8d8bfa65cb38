"""Features of persons: what rules measure, each once however many rules ask, from the facts of whole persons."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.tagging.calendar import DAY_US
from spark_jobs.tagging.exact import is_share
from spark_jobs.tagging.features import ABSENT
from spark_jobs.tagging.frames import Booleans, Codes, Frame, Group, Integers, Positions, starts_of
from spark_jobs.tagging.measures import (
    Attribute,
    Between,
    Count,
    Days,
    Distribution,
    First,
    Given,
    Last,
    Preference,
    Rhythm,
    Score,
    Sequence,
    Sum,
    Then,
)
from spark_jobs.tagging.plan import Feature, NumberFeature, Pending, TextFeature, selections_of
from spark_jobs.tagging.vocabulary import ATTRIBUTE_SOURCE, LOOKUP_NUMBERS

_RHYTHM_DAYS = 3


class FrameFeatures:
    """The features of a frame's persons, computed when they are first asked for."""

    def __init__(self, frame: Frame) -> None:
        """Nothing is computed yet."""
        self.frame = frame
        self._numbers: dict[Feature, Integers] = {}
        self._texts: dict[Feature, Codes] = {}

    @property
    def count(self) -> int:
        """How many persons."""
        return self.frame.persons

    def number(self, feature: NumberFeature) -> Integers:
        """The feature of each person; ABSENT where there is none."""
        if feature not in self._numbers:
            self._numbers[feature] = number_feature(feature, self.frame)
        return self._numbers[feature]

    def text(self, feature: TextFeature) -> Codes:
        """The feature of each person; null where there is none."""
        if feature not in self._texts:
            self._texts[feature] = text_feature(feature, self.frame)
        return self._texts[feature]


def number_feature(feature: NumberFeature, frame: Frame) -> Integers:
    """The feature of each person; ABSENT where there is none."""
    match feature:
        case Score():
            return _score(feature, frame)
        case Sequence() | Pending() | Then():
            return _sequence(feature, frame)
        case Days() | Between() | Rhythm():
            return _of_days(feature, *_days(frame, frame.select(feature.of)))
        case _:
            return _aggregate(feature, frame)


def _aggregate(feature: Count | Sum | First | Last, frame: Frame) -> Integers:
    group = frame.group(feature.of)
    match feature:
        case Count():
            return _reduced(np.add, frame.rows, group, frame=frame, empty=0)
        case Sum(of, field, _):
            values = frame.numbers[frame.plan.source(of.source).numbers.index(field)]
            return _reduced(np.add, values, group, frame=frame, empty=0)
        case First():
            return _reduced(np.minimum, frame.first_at, group, frame=frame, empty=ABSENT)
        case Last():
            return _reduced(np.maximum, frame.last_at, group, frame=frame, empty=ABSENT)


def _of_days(feature: Days | Between | Rhythm, days: Integers, span: Integers) -> Integers:
    match feature:
        case Days():
            return days
        case Between():
            return np.where(days > 0, span, ABSENT)
        case Rhythm():
            return np.where(days >= _RHYTHM_DAYS, span * DAY_US // np.maximum(days - 1, 1), ABSENT)


def text_feature(feature: TextFeature, frame: Frame) -> Codes:
    """The feature of each person; null where there is none."""
    match feature:
        case Attribute(name):
            return _looked_up(ATTRIBUTE_SOURCE, name, frame)
        case Given(kind, name):
            return _looked_up(LOOKUP_NUMBERS[kind], name, frame)
        case Preference():
            return _preference(feature, frame)
        case Distribution():
            return _distribution(feature, frame)


def _reduced(operation: np.ufunc, values: Integers, group: Group, *, frame: Frame, empty: int) -> Integers:
    """The values of a selection's rows, reduced person by person, in whole numbers."""
    result = np.full(frame.persons, empty, dtype=np.int64)
    if len(group.found):
        result[group.people] = operation.reduceat(values[group.found], group.starts)
    return result


def _group(frame: Frame, found: Positions) -> Group:
    people = frame.person[found]
    starts = starts_of(people)
    return Group(found, starts, people[starts])


def _days(frame: Frame, found: Positions) -> tuple[Integers, Integers]:
    """Per person the number of distinct days, and the days between the first and the last of them."""
    counts, spans = np.zeros(frame.persons, dtype=np.int64), np.zeros(frame.persons, dtype=np.int64)
    if len(found):
        person, day = frame.person[found], frame.dates[found]
        order = np.lexsort((day, person))
        person, day = person[order], day[order]
        distinct = starts_of(person, day)
        person, day = person[distinct], day[distinct]
        starts = starts_of(person)
        ends = np.append(starts[1:], len(person)) - 1
        counts[person[starts]] = ends - starts + 1
        spans[person[starts]] = day[ends] - day[starts]
    return counts, spans


def _looked_up(number: int, name: str, frame: Frame) -> Codes:
    """What the newest record says under a name."""
    if len(frame.texts) < 2:
        return Codes.nothing(frame.persons)
    names, values = frame.texts[0], frame.texts[1]
    is_named = names.where(lambda value: value == name)
    found = np.flatnonzero((frame.source == number) & is_named & (values.codes >= 0))
    # The newest record last; of two equally new ones the smaller text.
    newest = _newest(frame, found, -values.codes)
    return values.take(frame.persons, frame.person[newest], newest)


def _score(feature: Score, frame: Frame) -> Integers:
    result = np.full(frame.persons, ABSENT, dtype=np.int64)
    if len(frame.texts) and len(frame.numbers):
        is_named = frame.texts[0].where(lambda value: value == feature.model)
        found = np.flatnonzero((frame.source == LOOKUP_NUMBERS["score"]) & is_named)
        newest = _newest(frame, found, frame.numbers[0])  # of two equally new ones the larger
        result[frame.person[newest]] = frame.numbers[0][newest]
    return result


def _newest(frame: Frame, found: Positions, then_by: Integers) -> Positions:
    """Of each person's rows the one whose `part`, the time since when it holds, is largest."""
    if not len(found):
        return found
    order = found[np.lexsort((then_by[found], frame.part[found], frame.person[found]))]
    return np.asarray(order[np.append(starts_of(frame.person[order])[1:], len(order)) - 1])


@dataclass(frozen=True, slots=True)
class Pairs:
    """Persons with each of their values of a field, by person and value; values as codes.

    last: when it was met last. whole: of each person of the frame, the weight of all values.
    """

    values: Codes
    person: Positions
    code: Integers
    weight: Integers
    last: Integers
    whole: Integers


def _pairs(feature: Preference | Distribution, frame: Frame) -> Pairs:
    source = frame.plan.source(feature.of.source)
    slot = source.texts.index(feature.field)
    values, order = frame.texts[slot], frame.by_value(feature.of, slot)
    weights = frame.rows if feature.by is None else frame.numbers[source.numbers.index(feature.by)]
    whole = np.zeros(frame.persons, dtype=np.int64)
    starts = starts_of(frame.person[order], values.codes[order])
    person, code = frame.person[order[starts]], values.codes[order[starts]]
    if not len(order):
        return Pairs(values, person, code, code, code, whole)
    weight, last = np.add.reduceat(weights[order], starts), np.maximum.reduceat(frame.last_at[order], starts)
    firsts = starts_of(person)
    whole[person[firsts]] = np.add.reduceat(weight, firsts)
    return Pairs(values, person, code, weight, last, whole)


def _preference(feature: Preference, frame: Frame) -> Codes:
    """The value of most weight; of equal ones that met last, then the smaller text."""
    pairs = _pairs(feature, frame)
    codes = np.full(frame.persons, -1, dtype=np.int64)
    if len(pairs.person):
        is_best = _is_most(pairs.weight, pairs.person)
        is_best &= _is_most(np.where(is_best, pairs.last, ABSENT), pairs.person)
        best = np.flatnonzero(is_best & (pairs.weight > 0))
        best = best[starts_of(pairs.person[best])]  # codes ascend with the texts
        best = best[is_share(pairs.weight[best], pairs.whole[pairs.person[best]], feature.at_least_share)]
        codes[pairs.person[best]] = pairs.code[best]
    return Codes(codes, pairs.values.values)


def _is_most(numbers: Integers, person: Positions) -> Booleans:
    """Which numbers are the largest of their person."""
    starts = starts_of(person)
    sizes = np.diff(np.append(starts, len(person)))
    return np.asarray(numbers == np.repeat(np.maximum.reduceat(numbers, starts), sizes))


def _distribution(feature: Distribution, frame: Frame) -> Codes:
    """`{"app":0.62,"pos":0.38}`: shares cut to whole hundredths, largest first."""
    pairs = _pairs(feature, frame)
    # Ties: met last, then the smaller text.
    best = np.lexsort((pairs.code, -pairs.last, -pairs.weight, pairs.person))
    person, code, weight, whole = pairs.person[best], pairs.code[best], pairs.weight[best], pairs.whole
    shown = np.flatnonzero(weight > 0)
    if not len(shown):
        return Codes.nothing(frame.persons)
    starts = starts_of(person[shown])
    ends = np.append(starts[1:], len(shown))
    rank = np.arange(len(shown)) - np.repeat(starts, ends - starts)
    shown = shown[rank < feature.most]
    starts = starts_of(person[shown])
    hundredths = weight[shown] * 100 // whole[person[shown]]
    # Each distinct value becomes JSON once, however many persons have it.
    keys = pa.array([json.dumps(value, ensure_ascii=False) for value in pairs.values.values])
    shares = pa.array([f"{n / 100:.2f}" for n in range(101)])
    each = pc.binary_join_element_wise(keys.take(pa.array(code[shown])), shares.take(pa.array(hundredths)), ":")
    lists = pa.ListArray.from_arrays(pa.array(np.append(starts, len(shown)).astype(np.int32)), each)
    joined = pc.binary_join_element_wise("{", pc.binary_join(lists, ","), "}", "")
    texts = Codes.of(joined)
    return texts.take(frame.persons, person[shown][starts], np.arange(len(starts)))


def _sequence(feature: Sequence | Pending | Then, frame: Frame) -> Integers:
    """The latest `first` that was followed, or left alone, in time; or when the earliest open one will have been."""
    first, other = (frame.select(selection) for selection in selections_of(feature))
    if not len(first):
        return np.full(frame.persons, ABSENT, dtype=np.int64)
    sequence = feature.of if isinstance(feature, Pending) else feature
    due = frame.moment.calendar.shift(frame.last_at[first], sequence.within, sign=1)
    following = _next_after(frame, first, other, is_strict=isinstance(feature, Then))
    if isinstance(feature, Then):
        return _reduced(np.maximum, frame.last_at, _group(frame, first[following < due]), frame=frame, empty=ABSENT)
    is_alone = following >= due
    if isinstance(feature, Sequence):
        first = first[is_alone & (due <= frame.moment.base)]
        return _reduced(np.maximum, frame.last_at, _group(frame, first), frame=frame, empty=ABSENT)
    waiting = is_alone & (due > frame.moment.base)
    result = np.full(frame.persons, ABSENT, dtype=np.int64)
    people = frame.person[first[waiting]]
    if len(people):
        starts = starts_of(people)
        result[people[starts]] = np.minimum.reduceat(due[waiting], starts)
    return result


def _next_after(frame: Frame, first: Positions, other: Positions, *, is_strict: bool) -> Integers:
    """For each `first` row the earliest `other` of the same person at or after it; the end of time if none.

    is_strict: after it alone.
    """
    # One sort of both kinds together; of equal moments the one that must not find the other comes later.
    rows = np.concatenate([first, other])
    is_other = np.concatenate([np.zeros(len(first), dtype=np.bool_), np.ones(len(other), dtype=np.bool_)])
    order = np.lexsort((is_other != is_strict, frame.last_at[rows], frame.person[rows]))
    positions = np.where(is_other[order], np.arange(len(order)), len(order))
    following = np.minimum.accumulate(positions[::-1])[::-1]
    end = int(np.iinfo(np.int64).max)
    moments = np.append(frame.last_at[rows][order], end)
    owners = np.append(frame.person[rows][order], -1)
    found = np.where(owners[following] == frame.person[rows][order], moments[following], end)
    result = np.empty(len(order), dtype=np.int64)
    result[order] = found
    return result[: len(first)]
