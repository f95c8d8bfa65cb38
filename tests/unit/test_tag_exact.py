"""Ratios at their limits: what is exactly on a limit is on it, whatever floats make of it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.tagging.exact import is_share, order_of
from tests.tag_histories import Life, Order, answers, catalogue_of, definition, local, moment

BASE = local("2018-01-01T00:00")
LARGEST = 2**63 - 1


@settings(derandomize=True, deadline=None, database=None)
@given(
    pairs=st.lists(st.tuples(st.integers(0, LARGEST), st.integers(1, LARGEST)), min_size=1, max_size=20),
    limit=st.decimals(min_value=0, max_value=1_000_000, places=9),
)
def test_numbers_of_any_size_are_ordered_as_fractions_are(pairs: list[tuple[int, int]], limit: Decimal) -> None:
    part, whole = (np.array(side, dtype=np.int64) for side in zip(*pairs, strict=True))
    wanted = [(Fraction(p, w) > Fraction(limit)) - (Fraction(p, w) < Fraction(limit)) for p, w in pairs]
    assert order_of(part, whole, Fraction(limit)).tolist() == wanted


def test_a_negative_limit_lies_below_everything() -> None:
    assert order_of(np.array([0, 1]), np.array([1, 1]), Fraction(-1)).tolist() == [1, 1]


def test_a_share_of_the_largest_number_is_exact() -> None:
    assert is_share(np.array([LARGEST - 1, LARGEST]), np.array([LARGEST, LARGEST]), Decimal(1)).tolist() == [
        False,
        True,
    ]


@pytest.mark.parametrize(("part", "whole"), [(17_991, 19_990), (27, 30), (9, 10), (180_009, 200_010)])
def test_a_share_on_its_limit_has_the_level_of_the_limit(tmp_path, part: int, whole: int) -> None:
    """Each is nine tenths; in floats, cents over cents and a tenth of money are often a little less."""
    measures = {
        "here": {"sum": "purchases.sales_value", "where": {"store_id": "1"}},
        "all": {"sum": "purchases.sales_value"},
        "share": {"ratio": ["here", "all"]},
    }
    levels = [
        {"value": "above", "when": {"share": {"above": 0.9}}},
        {"value": "at", "when": {"share": {"at_least": 0.9}}},
    ]
    found = catalogue_of(tmp_path, definition("a", measures=measures, levels=levels, otherwise="below"))
    since = local("2017-02-01T00:00")

    def life(cents: int) -> Life:
        at = BASE - timedelta(days=1)
        return Life(since, [Order(at, "1", cents), Order(at, "2", whole - cents)])

    lives = [life(part - 1), life(part), life(part + 1)]
    given_answers = answers(found, lives, moment(BASE, found))["a"]
    assert [given_answers[n][0] for n in range(3)] == ["below", "at", "above"]
