"""Quantile bands over buckets: exact for small numbers, within a thousandth for large, the same in any partition."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from spark_jobs.tagging.ranking import bands_of, buckets_of, limits_of


def test_buckets_keep_order_and_three_digits() -> None:
    values = np.unique(
        np.array([0, 1, 2047, 2048, 2049, 4095, 4096, *(int(1.07**n) for n in range(600))], dtype=np.int64)
    )
    buckets = buckets_of(values)
    assert (buckets[:4] == [0, 1, 2, 3]).all()
    assert (np.diff(buckets) >= 0).all()
    assert (buckets <= values).all()
    assert ((values - buckets) <= values / 1000).all()
    small = np.arange(2048)
    assert (buckets_of(small) == small).all()


def test_bands_agree_with_a_sort() -> None:
    chance = random.Random(3)
    for bands in (2, 4, 5, 10):
        values = sorted(chance.choice((1, 5, 7, chance.randrange(1, 2000))) for _ in range(997))
        limits = limits_of(dict(Counter(values)), bands)
        found = bands_of(np.array(values), limits)
        # The limit of band k: the smallest number that k/bands of all do not exceed.
        wanted = [values[-(-len(values) * k // bands) - 1] for k in range(1, bands)]
        assert list(limits) == wanted
        assert found.tolist() == [1 + sum(limit < value for limit in wanted) for value in values]


def test_equal_numbers_share_a_band_and_nobody_gives_no_limits() -> None:
    assert set(bands_of(np.array([5, 5, 5]), limits_of({5: 3}, 5)).tolist()) == {1}
    assert limits_of({}, 5) == ()
