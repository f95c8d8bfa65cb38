"""The kernel: facts of whole persons in, answers out: levels, unknowns and when time alone may change them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_jobs.settings import REFUSING
from spark_jobs.tagging.aggregation import FrameFeatures
from spark_jobs.tagging.columns import Column, People
from spark_jobs.tagging.definitions import UNKNOWN, Rule, Tag
from spark_jobs.tagging.dependencies import measures_of
from spark_jobs.tagging.features import Features
from spark_jobs.tagging.frames import Booleans, Codes, Frame, Integers, frame_of, whole_persons
from spark_jobs.tagging.left_out import LeftOut
from spark_jobs.tagging.limits import Limits, Moved
from spark_jobs.tagging.measured import column_of, columns_of
from spark_jobs.tagging.measures import Measure
from spark_jobs.tagging.moment import NEVER, Moment
from spark_jobs.tagging.plan import Plan, Ranked
from spark_jobs.tagging.ranking import buckets_of
from spark_jobs.tagging.rows import PERSONS, Refused, RowsOut
from spark_jobs.tagging.truth import truth_of
from spark_jobs.tagging.vocabulary import type_of

Kernel = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class Answers:
    """One tag for many persons: the value of each, and when time alone may change it (NEVER where it cannot).

    codes: 0 is the tag's `otherwise` value, others stand for the labels at that place.
    """

    codes: Integers
    labels: tuple[str, ...]
    next_at: Integers

    @property
    def values(self) -> npt.NDArray[np.object_]:
        """The value of each person as text."""
        return np.array(self.labels, dtype=object)[self.codes]


def bucket_kernel(plan: Plan, moment: Moment, left_out: LeftOut | None = None) -> Kernel:
    """A function for `mapInArrow`: facts to persons per bucket of each quantile, and all persons, to be added up.

    Who is left out stands in no bucket.
    """

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for table in whole_persons(batches):
            frame = frame_of(table, plan, moment)
            people = People(moment, FrameFeatures(frame), {})
            yield _buckets(PERSONS, np.zeros(people.count, dtype=np.int64))
            refused = refusing(frame, people.features, left_out) if left_out is not None and plan.ranked else None
            for number, ranked in enumerate(plan.ranked):
                yield _buckets(number, _ranked_values(ranked, people, refused))

    return kernel


def _buckets(number: int, values: Integers) -> pa.RecordBatch:
    buckets, persons = np.unique(values, return_counts=True)
    numbers = np.full(len(buckets), number, dtype=np.int32)
    return pa.RecordBatch.from_arrays(
        [pa.array(numbers), pa.array(buckets), pa.array(persons.astype(np.int64))],
        names=["ranked", "bucket", "persons"],
    )


def _ranked_values(ranked: Ranked, people: People, refused: Booleans | None) -> Integers:
    column = column_of(ranked.quantile.of, people, among=ranked.among, missing_is_unknown=False)
    counted = column.exists & (column.low > 0) & people.among(ranked.among)
    if refused is not None:
        counted = counted & ~refused
    return buckets_of(column.low[counted])


def refusing(frame: Frame, features: Features, left_out: LeftOut) -> Booleans:
    """Who of a frame's persons refuses profiling, by a note or by the tag that says so."""
    refused = left_out.by_notes(frame.person_no)
    # Bands are no part of what the tag goes by, so it needs no limits.
    people = People(frame.moment, features, {})
    for tag, given in answers_of_all(frame.plan, people, only=left_out.needed):
        if tag.name == left_out.tag:
            refused = refused | Codes(given.codes, given.labels).where(lambda value: value == REFUSING)
    return refused


def answer_kernel(
    plan: Plan, moment: Moment, limits: Limits, moved: Moved | None = None, *, left_out: LeftOut | None = None
) -> Kernel:
    """A function for `mapInArrow`: facts to rows of `rows.ANSWERS_DDL`.

    Persons with a tag's `otherwise` value get no row of that tag; a row TIMER says when to look at a person again, and
    which tags without a row wait for what moment. Rows UNMOVED answer under the limits that were in force before. Who
    is left out has a row REFUSES, and answers of the tag that says so alone.
    """
    numbers = {tag.name: number for number, tag in enumerate(plan.tags)}
    but = numbers.get(left_out.tag, -1) if left_out is not None else -1

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for table in whole_persons(batches):
            frame = frame_of(table, plan, moment)
            features = FrameFeatures(frame)
            refused = None if left_out is None else Refused(refusing(frame, features, left_out), but)
            rows = RowsOut(frame.person_no, frame.person_id, refused)
            for tag, answers in answers_of_all(plan, People(moment, features, limits)):
                rows.add(numbers[tag.name], answers.codes, answers.labels, next_at=answers.next_at)
            for tag, answers in _unmoved(features, moment, moved):
                rows.add_unmoved(numbers[tag.name], answers.codes, answers.labels)
            yield from rows.batches()

    return kernel


def _unmoved(features: Features, moment: Moment, moved: Moved | None) -> Iterator[tuple[Tag, Answers]]:
    if moved is not None:
        people = People(moment, features, moved.limits)
        yield from ((tag, given) for tag, given in answers_of_all(moved.plan, people) if tag.name in moved.tags)


def answers_of_all(plan: Plan, people: People, only: Collection[str] | None = None) -> Iterator[tuple[Tag, Answers]]:
    """The answers of every tag of the plan, in its order: what a tag uses has been answered before it.

    In: `only`: names of the tags that are answered, with all that they use; None for all.
    """
    used = plan.used
    for tag in plan.tags:
        if only is not None and tag.name not in only:
            continue
        answers = answers_of(tag.rule, people)
        if tag.name in used:
            people.answered[tag.name] = _as_column(answers)
        yield tag, answers


def _as_column(answers: Answers) -> Column:
    nothing, texts = np.zeros(len(answers.codes), dtype=np.int64), Codes(answers.codes, answers.labels)
    exists = texts.where(lambda value: value != UNKNOWN)
    return Column(nothing, nothing, exists, np.ones_like(exists), answers.next_at, texts)


def answers_of(rule: Rule, people: People) -> Answers:
    """The answers of one rule: the first level that certainly holds; unknown where one before it possibly does."""
    measures = measures_of(rule)
    columns = columns_of(measures, people, among=rule.among, missing_is_unknown=rule.missing_is_unknown)
    if rule.value is not None:
        answers = _own_value(rule, rule.value, columns[rule.value])
    else:
        answers = first_match(rule, columns, people.moment, people.count)
    if rule.among == "everyone":
        return answers
    belongs = people.among(rule.among)
    return Answers(answers.codes * belongs, answers.labels, np.where(belongs, answers.next_at, NEVER))


def first_match(rule: Rule, columns: Mapping[Measure, Column], moment: Moment, count: int) -> Answers:
    """The levels in declared order over columns of `count` persons."""
    labels = tuple(dict.fromkeys([rule.otherwise, UNKNOWN, *(level.value for level in rule.levels)]))
    codes = np.zeros(count, dtype=np.int64)
    is_open = np.ones(count, dtype=np.bool_)
    next_at = np.full(count, NEVER, dtype=np.int64)
    for level in rule.levels:
        truth = truth_of(level.when, columns, moment)
        # A level below one that certainly holds by nature of time cannot matter before that one changes.
        next_at = np.where(is_open, np.minimum(next_at, truth.next_at), next_at)
        codes[is_open & truth.possible] = labels.index(UNKNOWN)
        codes[is_open & truth.certain] = labels.index(level.value)
        is_open = is_open & ~truth.possible
    return Answers(codes, labels, next_at)


def _own_value(rule: Rule, measure: Measure, column: Column) -> Answers:
    is_number = type_of(measure) == "number"
    texts = _as_texts(column.low) if is_number or column.texts is None else column.texts
    labels = tuple(dict.fromkeys([rule.otherwise, UNKNOWN, *texts.values]))
    place = {label: number for number, label in enumerate(labels)}
    own = np.array([*(place[value] for value in texts.values), 0], dtype=np.int64)[texts.codes]
    absent = np.where(column.may_exist, place[UNKNOWN], 0)
    # A number of which only bounds are known is not known.
    is_open = column.exists & (column.low != column.high) if is_number else np.zeros_like(column.exists)
    return Answers(np.where(is_open, place[UNKNOWN], np.where(column.exists, own, absent)), labels, column.next_at)


def _as_texts(numbers: Integers) -> Codes:
    values, codes = np.unique(numbers, return_inverse=True)
    return Codes(codes.astype(np.int64), tuple(map(str, values.tolist())))
