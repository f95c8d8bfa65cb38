"""Conditions over columns in three values: true, false and, where history or a record leaves it open, unknown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import reduce

import numpy as np

from spark_jobs.tagging.columns import Column
from spark_jobs.tagging.definitions import AllOf, AnyOf, Comparison, Condition, NotOf
from spark_jobs.tagging.exact import order_of
from spark_jobs.tagging.frames import Booleans, Integers
from spark_jobs.tagging.measures import Measure, Ratio, Span
from spark_jobs.tagging.moment import NEVER, Moment
from spark_jobs.tagging.vocabulary import decimals_of


@dataclass(frozen=True, slots=True)
class Truth:
    """certain: the condition holds; possible: it holds or may; next_at: when time alone may change that."""

    certain: Booleans
    possible: Booleans
    next_at: Integers


def truth_of(condition: Condition, columns: Mapping[Measure, Column], moment: Moment) -> Truth:
    """The truth of a condition for each person (Kleene's logic)."""
    match condition:
        case Comparison():
            return _compared(condition, columns, moment)
        case NotOf(part):
            inner = truth_of(part, columns, moment)
            return Truth(~inner.possible, ~inner.certain, inner.next_at)
        case AllOf(parts):
            return _folded(np.logical_and, [truth_of(part, columns, moment) for part in parts])
        case AnyOf(parts):
            return _folded(np.logical_or, [truth_of(part, columns, moment) for part in parts])


def _folded(operation: np.ufunc, parts: list[Truth]) -> Truth:
    return reduce(
        lambda left, right: Truth(
            operation(left.certain, right.certain),
            operation(left.possible, right.possible),
            np.minimum(left.next_at, right.next_at),
        ),
        parts,
    )


def _compared(comparison: Comparison, columns: Mapping[Measure, Column], moment: Moment) -> Truth:
    column = columns[comparison.measure]
    match comparison.kind:
        case "present":
            truth = Truth(column.exists, column.may_exist, column.next_at)
            return truth if comparison.operands[0] else Truth(~truth.possible, ~truth.certain, truth.next_at)
        case "equals" | "in":
            assert column.texts is not None
            hits = column.texts.where(lambda value: value in comparison.operands) & column.exists
            return Truth(hits, hits | (column.may_exist & ~column.exists), column.next_at)
        case "within" | "older_than":
            span = comparison.operands[0]
            assert isinstance(span, Span)
            return _aged(column, span, moment, is_within=comparison.kind == "within")
        case "older_than_times":
            assert comparison.other is not None
            return _older_than_times(column, columns[comparison.other], comparison.operands[0], moment)
        case kind:
            if isinstance(comparison.measure, Ratio):
                return _ratio_beyond(column, comparison, comparison.measure)
            limit = comparison.operands[0]
            assert isinstance(limit, int)
            return _beyond(column, kind, limit)


def _ratio_beyond(column: Column, comparison: Comparison, ratio: Ratio) -> Truth:
    limit = comparison.operands[0]
    assert isinstance(limit, Decimal)
    assert column.per is not None
    # In units of the last decimals: cents of an order against a limit in whole money.
    decimals = (decimals_of(ratio.part) or 0) - (decimals_of(ratio.whole) or 0)
    # What does not exist is compared as zero of one, and not looked at.
    part, per = np.where(column.exists, column.low, 0), np.where(column.exists, column.per, 1)
    order = order_of(part, per, Fraction(limit) * Fraction(10) ** decimals)
    holds = {"at_least": order >= 0, "above": order > 0, "at_most": order <= 0, "below": order < 0}
    certain = column.exists & holds[comparison.kind]
    return Truth(certain, certain | (column.may_exist & ~column.exists), column.next_at)


def _beyond(column: Column, kind: str, limit: int) -> Truth:
    tests: dict[str, Callable[[Integers, Integers], tuple[Booleans, Booleans]]] = {
        "at_least": lambda low, high: (low >= limit, high >= limit),
        "above": lambda low, high: (low > limit, high > limit),
        "at_most": lambda low, high: (high <= limit, low <= limit),
        "below": lambda low, high: (high < limit, low < limit),
    }
    certain, possible = tests[kind](column.low, column.high)
    return Truth(column.exists & certain, column.may_exist & possible, column.next_at)


def _aged(column: Column, span: Span, moment: Moment, *, is_within: bool) -> Truth:
    # Half-open: an instant exactly one span before the base time is within it still.
    start = moment.start_of(span)
    low, high = column.low.astype(np.int64), column.high.astype(np.int64)
    leaves = np.full(len(low), NEVER, dtype=np.int64)
    ages = column.may_exist & (high >= start) & (high <= moment.base)
    leaves[ages] = moment.leaves(high[ages], span)
    next_at = np.minimum(leaves, column.next_at)
    if is_within:
        return Truth(column.exists & (low >= start), column.may_exist & (high >= start), next_at)
    return Truth(column.exists & (high < start), column.may_exist & (low < start), next_at)


def _older_than_times(column: Column, rhythm: Column, times: object, moment: Moment) -> Truth:
    """Longer ago than so many times the person's own rhythm, in elapsed time."""
    assert isinstance(times, float)
    both, either = column.exists & rhythm.exists, column.may_exist & rhythm.may_exist
    wait = np.where(rhythm.exists, rhythm.low.astype(np.float64) * times, 0.0).astype(np.int64)
    instant = np.where(column.exists, column.low, 0).astype(np.int64)
    due = instant + wait + 1
    is_older = due <= moment.base
    next_at = np.where(both & ~is_older, due, NEVER)
    next_at = np.minimum(np.minimum(next_at, column.next_at), rhythm.next_at)
    # Where one side is only possible, nothing bounds the other: it stays unknown.
    return Truth(both & is_older, (both & is_older) | (either & ~both), next_at)
