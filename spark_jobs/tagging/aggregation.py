"""The first kernel: facts of whole persons in, one row of features per person out; no loop over rows or persons."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from spark_jobs.tagging.calendar import DAY_US
from spark_jobs.tagging.exact import is_share
from spark_jobs.tagging.frames import Codes, Frame, Integers, Positions, frame_of, whole_persons
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
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import NumberFeature, Pending, Plan, TextFeature, selections_of
from spark_jobs.tagging.vocabulary import ATTRIBUTE_SOURCE, LOOKUP_NUMBERS

Texts = npt.NDArray[np.object_]

FEATURES_DDL = "person_no bigint, person_id string, numbers array<bigint>, texts array<string>"

# Stands for "no such moment"; counts and sums of nothing are 0.
ABSENT = int(np.iinfo(np.int64).min)
_RHYTHM_DAYS = 3


def feature_kernel(plan: Plan, moment: Moment) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """A function for `mapInArrow`: facts sorted by person to rows of FEATURES_DDL."""

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for table in whole_persons(batches):
            yield features_of(frame_of(table, plan), plan, moment)

    return kernel


def features_of(frame: Frame, plan: Plan, moment: Moment) -> pa.RecordBatch:
    """One row per person of the frame: the plan's number features, then its text features."""
    numbers = np.stack([number_feature(feature, frame, plan, moment) for feature in plan.numbers], axis=1)
    texts = [text_feature(feature, frame, plan, moment) for feature in plan.texts]
    flat = np.stack(texts, axis=1).ravel() if texts else np.empty(0, dtype=object)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(frame.person_no),
            frame.person_id,
            _lists(pa.array(numbers.ravel()), frame.persons, len(plan.numbers)),
            _lists(pa.array(flat, type=pa.string()), frame.persons, len(texts)),
        ],
        names=["person_no", "person_id", "numbers", "texts"],
    )


def _lists(flat: pa.Array, rows: int, width: int) -> pa.ListArray:
    return pa.ListArray.from_arrays(pa.array(np.arange(rows + 1, dtype=np.int32) * width), flat)


def number_feature(feature: NumberFeature, frame: Frame, plan: Plan, moment: Moment) -> Integers:
    """The feature of each person; ABSENT where there is none."""
    match feature:
        case Score():
            return _score(feature, frame)
        case Sequence() | Pending() | Then():
            return _sequence(feature, frame, plan, moment)
        case _:
            return _aggregate(feature, frame, plan, moment)


def _aggregate(
    feature: Count | Sum | First | Last | Days | Between | Rhythm, frame: Frame, plan: Plan, moment: Moment
) -> Integers:
    found = frame.select(feature.of, plan, moment)
    match feature:
        case Count():
            return _reduced(np.add, frame.rows, found, frame=frame, empty=0)
        case Sum(of, field, _):
            values = frame.numbers[plan.source(of.source).numbers.index(field)]
            return _reduced(np.add, values, found, frame=frame, empty=0)
        case First():
            return _reduced(np.minimum, frame.first_at, found, frame=frame, empty=ABSENT)
        case Last():
            return _reduced(np.maximum, frame.last_at, found, frame=frame, empty=ABSENT)
        case Days() | Between() | Rhythm():
            return _of_days(feature, *_days(frame, found, moment))


def _of_days(feature: Days | Between | Rhythm, days: Integers, span: Integers) -> Integers:
    match feature:
        case Days():
            return days
        case Between():
            return np.where(days > 0, span, ABSENT)
        case Rhythm():
            return np.where(days >= _RHYTHM_DAYS, span * DAY_US // np.maximum(days - 1, 1), ABSENT)


def text_feature(feature: TextFeature, frame: Frame, plan: Plan, moment: Moment) -> Texts:
    """The feature of each person; None where there is none."""
    match feature:
        case Attribute(name):
            return _looked_up(ATTRIBUTE_SOURCE, name, frame)
        case Given(kind, name):
            return _looked_up(LOOKUP_NUMBERS[kind], name, frame)
        case Preference():
            return _preference(feature, frame, plan, moment)
        case Distribution():
            return _distribution(feature, frame, plan, moment)


def _reduced(operation: np.ufunc, values: Integers, found: Positions, *, frame: Frame, empty: int) -> Integers:
    """The values at the positions, reduced person by person, in whole numbers."""
    result = np.full(frame.persons, empty, dtype=np.int64)
    if len(found):
        starts = _starts(frame.person[found])
        result[frame.person[found[starts]]] = operation.reduceat(values[found], starts)
    return result


def _starts(*keys: Integers | Positions) -> Positions:
    """Where a new group begins in rows that are sorted by the keys."""
    is_new = np.ones(len(keys[0]), dtype=np.bool_)
    is_new[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    return np.flatnonzero(is_new)


def _days(frame: Frame, found: Positions, moment: Moment) -> tuple[Integers, Integers]:
    """Per person the number of distinct days, and the days between the first and the last of them."""
    counts, spans = np.zeros(frame.persons, dtype=np.int64), np.zeros(frame.persons, dtype=np.int64)
    if len(found):
        person, day = frame.person[found], moment.dates(frame.last_at[found])
        order = np.lexsort((day, person))
        person, day = person[order], day[order]
        distinct = _starts(person, day)
        person, day = person[distinct], day[distinct]
        starts = _starts(person)
        ends = np.append(starts[1:], len(person)) - 1
        counts[person[starts]] = ends - starts + 1
        spans[person[starts]] = day[ends] - day[starts]
    return counts, spans


def _looked_up(number: int, name: str, frame: Frame) -> Texts:
    """What the newest record says under a name."""
    result = np.full(frame.persons, None, dtype=object)
    if len(frame.texts) >= 2:
        names, values = frame.texts[0], frame.texts[1]
        is_named = names.where(lambda value: value == name)
        found = np.flatnonzero((frame.source == number) & is_named & (values.codes >= 0))
        # The newest record last; of two equally new ones the smaller text.
        newest = _newest(frame, found, -values.codes)
        result[frame.person[newest]] = _texts_of(values)[values.codes[newest]]
    return result


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
    return np.asarray(order[np.append(_starts(frame.person[order])[1:], len(order)) - 1])


def _texts_of(codes: Codes) -> Texts:
    return np.array([*codes.values, None], dtype=object)


def _weighed(
    feature: Preference | Distribution, frame: Frame, plan: Plan, moment: Moment
) -> tuple[Codes, tuple[Positions, Integers, Integers], Integers]:
    """Values of a field, largest weight of each person first.

    Out: the field's codes; person, code and weight of each pair in this order; the whole weight of each person. Ties:
    met last, then the smaller text.
    """
    source = plan.source(feature.of.source)
    values = frame.texts[source.texts.index(feature.field)]
    found = frame.select(feature.of, plan, moment)
    found = found[values.codes[found] >= 0]
    whole = np.zeros(frame.persons, dtype=np.int64)
    nothing = np.empty(0, dtype=np.int64)
    if not len(found):
        return values, (nothing.astype(np.intp), nothing, nothing), whole
    weights = frame.rows if feature.by is None else frame.numbers[source.numbers.index(feature.by)]
    order = found[np.lexsort((values.codes[found], frame.person[found]))]
    starts = _starts(frame.person[order], values.codes[order])
    person, code = frame.person[order[starts]], values.codes[order[starts]]
    weight, last = np.add.reduceat(weights[order], starts), np.maximum.reduceat(frame.last_at[order], starts)
    np.add.at(whole, person, weight)
    best = np.lexsort((code, -last, -weight, person))
    return values, (person[best], code[best], weight[best]), whole


def _preference(feature: Preference, frame: Frame, plan: Plan, moment: Moment) -> Texts:
    values, (person, code, weight), whole = _weighed(feature, frame, plan, moment)
    result = np.full(frame.persons, None, dtype=object)
    if len(person):
        best = _starts(person)
        is_enough = is_share(weight[best], whole[person[best]], feature.at_least_share)
        best = best[(weight[best] > 0) & is_enough]
        result[person[best]] = _texts_of(values)[code[best]]
    return result


def _distribution(feature: Distribution, frame: Frame, plan: Plan, moment: Moment) -> Texts:
    """`{"app":0.62,"pos":0.38}`: shares cut to whole hundredths, largest first."""
    values, (person, code, weight), whole = _weighed(feature, frame, plan, moment)
    result = np.full(frame.persons, None, dtype=object)
    shown = np.flatnonzero(weight > 0)
    if not len(shown):
        return result
    starts = _starts(person[shown])
    ends = np.append(starts[1:], len(shown))
    rank = np.arange(len(shown)) - np.repeat(starts, ends - starts)
    shown = shown[rank < feature.most]
    starts = _starts(person[shown])
    hundredths = weight[shown] * 100 // whole[person[shown]]
    # Each distinct value becomes JSON once, however many persons have it.
    keys = pa.array([json.dumps(value, ensure_ascii=False) for value in values.values])
    shares = pa.array([f"{n / 100:.2f}" for n in range(101)])
    pairs = pc.binary_join_element_wise(keys.take(pa.array(code[shown])), shares.take(pa.array(hundredths)), ":")
    lists = pa.ListArray.from_arrays(pa.array(np.append(starts, len(shown)).astype(np.int32)), pairs)
    joined = pc.binary_join_element_wise("{", pc.binary_join(lists, ","), "}", "")
    result[person[shown][starts]] = joined.to_numpy(zero_copy_only=False)
    return result


def _sequence(feature: Sequence | Pending | Then, frame: Frame, plan: Plan, moment: Moment) -> Integers:
    """The latest `first` that was followed, or left alone, in time; or when the earliest open one will have been."""
    first, other = (frame.select(selection, plan, moment) for selection in selections_of(feature))
    if not len(first):
        return np.full(frame.persons, ABSENT, dtype=np.int64)
    sequence = feature.of if isinstance(feature, Pending) else feature
    due = moment.calendar.shift(frame.last_at[first], sequence.within, sign=1)
    following = _next_after(frame, first, other, is_strict=isinstance(feature, Then))
    if isinstance(feature, Then):
        return _reduced(np.maximum, frame.last_at, first[following < due], frame=frame, empty=ABSENT)
    is_alone = following >= due
    if isinstance(feature, Sequence):
        first = first[is_alone & (due <= moment.base)]
        return _reduced(np.maximum, frame.last_at, first, frame=frame, empty=ABSENT)
    waiting = is_alone & (due > moment.base)
    moments = np.zeros(len(frame.person), dtype=np.int64)
    moments[first[waiting]] = due[waiting]
    return _reduced(np.minimum, moments, first[waiting], frame=frame, empty=ABSENT)


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
