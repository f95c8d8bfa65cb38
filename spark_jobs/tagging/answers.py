"""The second kernel: features of persons in, answers out: levels, unknowns and when time alone may change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from spark_jobs.tagging.aggregation import Texts
from spark_jobs.tagging.columns import Column, People
from spark_jobs.tagging.definitions import UNKNOWN, Rule, Tag
from spark_jobs.tagging.dependencies import measures_of
from spark_jobs.tagging.frames import Booleans, Integers
from spark_jobs.tagging.measured import column_of, columns_of
from spark_jobs.tagging.measures import Measure
from spark_jobs.tagging.moment import NEVER, Moment
from spark_jobs.tagging.plan import Plan, Ranked
from spark_jobs.tagging.ranking import buckets_of
from spark_jobs.tagging.truth import truth_of
from spark_jobs.tagging.vocabulary import type_of

ANSWERS_DDL = "tag int, person_no bigint, person_id string, value string, next_change_at bigint"
BUCKETS_DDL = "ranked int, bucket bigint, persons bigint"

# Stands in the column `tag` for the earliest change of any of a person's tags.
TIMER = -1

Limits = dict[Ranked, tuple[int, ...]]
Kernel = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class Answers:
    """One tag for many persons: the value of each, and when time alone may change it (NEVER where it cannot)."""

    values: Texts
    next_at: Integers


def bucket_kernel(plan: Plan, moment: Moment) -> Kernel:
    """A function for `mapInArrow`: features to persons per bucket of each quantile, to be added up."""

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            people = people_of(batch, plan, moment, {})
            for number, ranked in enumerate(plan.ranked):
                buckets, persons = np.unique(_ranked_values(ranked, people), return_counts=True)
                numbers = np.full(len(buckets), number, dtype=np.int32)
                yield pa.RecordBatch.from_arrays(
                    [pa.array(numbers), pa.array(buckets), pa.array(persons.astype(np.int64))],
                    names=["ranked", "bucket", "persons"],
                )

    return kernel


def _ranked_values(ranked: Ranked, people: People) -> Integers:
    column = column_of(ranked.quantile.of, people, among=ranked.among, missing_is_unknown=False)
    counted = column.exists & (column.low > 0) & people.among(ranked.among)
    return buckets_of(column.low[counted])


def answer_kernel(plan: Plan, moment: Moment, limits: Limits) -> Kernel:
    """A function for `mapInArrow`: features to rows of ANSWERS_DDL.

    Persons with a tag's `otherwise` value get no row of that tag; the row TIMER says when to look at a person again.
    """

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            people = people_of(batch, plan, moment, limits)
            earliest = np.full(people.count, NEVER, dtype=np.int64)
            for number, (tag, answers) in enumerate(answers_of_all(plan, people)):
                earliest = np.minimum(earliest, answers.next_at)
                yield _rows(batch, number, answers, shown=answers.values != tag.rule.otherwise)
            nothing = np.full(people.count, "", dtype=object)
            yield _rows(batch, TIMER, Answers(nothing, earliest), shown=earliest != NEVER)

    return kernel


def people_of(batch: pa.RecordBatch, plan: Plan, moment: Moment, limits: Limits) -> People:
    """The persons of a batch of features."""
    numbers = batch.column("numbers").flatten().to_numpy().reshape(batch.num_rows, len(plan.numbers))
    texts = batch.column("texts").flatten().to_numpy(zero_copy_only=False).astype(object)
    return People(moment, numbers, texts.reshape(batch.num_rows, len(plan.texts)), limits, plan.positions)


def answers_of_all(plan: Plan, people: People) -> Iterator[tuple[Tag, Answers]]:
    """The answers of every tag of the plan, in its order: what a tag uses has been answered before it."""
    used = plan.used
    for tag in plan.tags:
        answers = answers_of(tag.rule, people)
        if tag.name in used:
            people.answered[tag.name] = _as_column(answers)
        yield tag, answers


def _as_column(answers: Answers) -> Column:
    nothing = np.zeros(len(answers.values), dtype=np.int64)
    exists = np.asarray(answers.values != UNKNOWN, dtype=np.bool_)
    return Column(nothing, nothing, exists, np.ones_like(exists), answers.next_at, answers.values)


def answers_of(rule: Rule, people: People) -> Answers:
    """The answers of one rule: the first level that certainly holds; unknown where one before it possibly does."""
    measures = measures_of(rule)
    columns = columns_of(measures, people, among=rule.among, missing_is_unknown=rule.missing_is_unknown)
    if rule.value is not None:
        answers = _own_value(rule, rule.value, columns[rule.value])
    else:
        answers = first_match(rule, columns, people.moment, people.count)
    belongs = people.among(rule.among)
    values = np.where(belongs, answers.values, rule.otherwise)
    return Answers(values, np.where(belongs, answers.next_at, NEVER))


def first_match(rule: Rule, columns: Mapping[Measure, Column], moment: Moment, count: int) -> Answers:
    """The levels in declared order over columns of `count` persons."""
    values = np.full(count, rule.otherwise, dtype=object)
    is_open = np.ones(count, dtype=np.bool_)
    next_at = np.full(count, NEVER, dtype=np.int64)
    for level in rule.levels:
        truth = truth_of(level.when, columns, moment)
        # A level below one that certainly holds by nature of time cannot matter before that one changes.
        next_at = np.where(is_open, np.minimum(next_at, truth.next_at), next_at)
        values[is_open & truth.possible] = UNKNOWN
        values[is_open & truth.certain] = level.value
        is_open = is_open & ~truth.possible
    return Answers(values, next_at)


def _own_value(rule: Rule, measure: Measure, column: Column) -> Answers:
    is_number = type_of(measure) == "number"
    texts = column.low.astype(str).astype(object) if is_number or column.texts is None else column.texts
    absent = np.where(column.may_exist, UNKNOWN, rule.otherwise)
    # A number of which only bounds are known is not known.
    is_open = column.exists & (column.low != column.high) if is_number else np.zeros_like(column.exists)
    return Answers(np.where(is_open, UNKNOWN, np.where(column.exists, texts, absent)).astype(object), column.next_at)


def _rows(
    batch: pa.RecordBatch, number: int, answers: Answers, *, shown: npt.NDArray[np.bool_] | Booleans
) -> pa.RecordBatch:
    positions = np.flatnonzero(shown)
    next_at = answers.next_at[positions]
    return pa.RecordBatch.from_arrays(
        [
            pa.array(np.full(len(positions), number, dtype=np.int32)),
            batch.column("person_no").take(pa.array(positions)),
            batch.column("person_id").take(pa.array(positions)),
            pa.array(answers.values[positions], type=pa.string()),
            pa.array(next_at, mask=next_at == NEVER),
        ],
        names=["tag", "person_no", "person_id", "value", "next_change_at"],
    )
