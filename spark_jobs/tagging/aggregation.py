"""The first kernel: facts of whole persons in, one row of features per person out; no loop over rows or persons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_jobs.tagging.calendar import DAY_US, HOUR_US
from spark_jobs.tagging.definitions import (
    Attribute,
    Count,
    Days,
    First,
    Last,
    Preference,
    Rhythm,
    Sequence,
    Sum,
)
from spark_jobs.tagging.frames import Frame, Integers, Positions, frame_of, whole_persons
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import NumberFeature, Pending, Plan, TextFeature, selections_of
from spark_jobs.tagging.vocabulary import ATTRIBUTE_SOURCE

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
    found = frame.select(selections_of(feature)[0], plan, moment)
    match feature:
        case Count():
            return _reduced(np.add, frame.rows, found, frame=frame, empty=0)
        case Sum(of, field):
            values = frame.numbers[plan.source(of.source).numbers.index(field)]
            return _reduced(np.add, values, found, frame=frame, empty=0)
        case First():
            return _reduced(np.minimum, frame.first_at, found, frame=frame, empty=ABSENT)
        case Last():
            return _reduced(np.maximum, frame.last_at, found, frame=frame, empty=ABSENT)
        case Days() | Rhythm():
            days, span = _days(frame, found, moment)
            mean_gap = np.where(days >= _RHYTHM_DAYS, span * DAY_US // np.maximum(days - 1, 1), ABSENT)
            return days if isinstance(feature, Days) else mean_gap
        case Sequence() | Pending():
            return _sequence(feature, frame, plan, moment)


def text_feature(feature: TextFeature, frame: Frame, plan: Plan, moment: Moment) -> Texts:
    """The feature of each person; None where there is none."""
    if isinstance(feature, Attribute):
        return _attribute(feature, frame)
    return _preference(feature, frame, plan, moment)


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


def _attribute(feature: Attribute, frame: Frame) -> Texts:
    result = np.full(frame.persons, None, dtype=object)
    if len(frame.texts) >= 2:
        names, values = frame.texts[0], frame.texts[1]
        found = np.flatnonzero((frame.source == ATTRIBUTE_SOURCE) & names.is_in((feature.name,)) & (values.codes >= 0))
        # The newest record last; of two equally new ones the smaller text.
        order = found[np.lexsort((-values.codes[found], frame.part[found], frame.person[found]))]
        ends = np.append(_starts(frame.person[order])[1:], len(order)) - 1 if len(order) else np.empty(0, dtype=np.intp)
        newest = order[ends]
        result[frame.person[newest]] = np.array([*values.values, None], dtype=object)[values.codes[newest]]
    return result


def _preference(feature: Preference, frame: Frame, plan: Plan, moment: Moment) -> Texts:
    source = plan.source(feature.of.source)
    values = frame.texts[source.texts.index(feature.field)]
    found = frame.select(feature.of, plan, moment)
    found = found[values.codes[found] >= 0]
    result = np.full(frame.persons, None, dtype=object)
    if not len(found):
        return result
    weights = frame.rows if feature.by is None else frame.numbers[source.numbers.index(feature.by)]
    order = found[np.lexsort((values.codes[found], frame.person[found]))]
    starts = _starts(frame.person[order], values.codes[order])
    person, code = frame.person[order[starts]], values.codes[order[starts]]
    weight, last = np.add.reduceat(weights[order], starts), np.maximum.reduceat(frame.last_at[order], starts)
    whole = np.zeros(frame.persons, dtype=np.int64)
    np.add.at(whole, person, weight)
    best = np.lexsort((code, -last, -weight, person))
    best = best[_starts(person[best])]
    share = feature.at_least_share.as_integer_ratio()
    is_enough = (weight[best] > 0) & (weight[best] * share[1] >= whole[person[best]] * share[0])
    best = best[is_enough]
    result[person[best]] = np.array(values.values, dtype=object)[code[best]]
    return result


def _sequence(feature: Sequence | Pending, frame: Frame, plan: Plan, moment: Moment) -> Integers:
    """The latest `first` that was left alone for the whole time, or when the earliest open one will have been."""
    first, without = (frame.select(selection, plan, moment) for selection in selections_of(feature))
    result = np.full(frame.persons, ABSENT, dtype=np.int64)
    if not len(first):
        return result
    sequence = feature.of if isinstance(feature, Pending) else feature
    due = frame.last_at[first] + sequence.within.amount * HOUR_US
    is_alone = _next_after(frame, first, without) >= due
    if isinstance(feature, Sequence):
        first = first[is_alone & (due <= moment.base)]
        return _reduced(np.maximum, frame.last_at, first, frame=frame, empty=ABSENT)
    waiting = is_alone & (due > moment.base)
    moments = np.zeros(len(frame.person), dtype=np.int64)
    moments[first[waiting]] = due[waiting]
    return _reduced(np.minimum, moments, first[waiting], frame=frame, empty=ABSENT)


def _next_after(frame: Frame, first: Positions, without: Positions) -> Integers:
    """For each `first` row the earliest `without` of the same person at or after it; the end of time if none."""
    # One sort of both kinds together: of equal moments `first` comes before the `without` that it may find.
    rows = np.concatenate([first, without])
    is_without = np.concatenate([np.zeros(len(first), dtype=np.bool_), np.ones(len(without), dtype=np.bool_)])
    order = np.lexsort((is_without, frame.last_at[rows], frame.person[rows]))
    positions = np.where(is_without[order], np.arange(len(order)), len(order))
    following = np.minimum.accumulate(positions[::-1])[::-1]
    end = int(np.iinfo(np.int64).max)
    moments = np.append(frame.last_at[rows][order], end)
    owners = np.append(frame.person[rows][order], -1)
    found = np.where(owners[following] == frame.person[rows][order], moments[following], end)
    result = np.empty(len(order), dtype=np.int64)
    result[order] = found
    return result[: len(first)]
