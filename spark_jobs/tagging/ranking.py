"""Quantile bands without a sort: numbers fall into buckets that any partition can count and anybody can add up.

Below 2,048 every whole number is a bucket; above, a bucket keeps the 11 leading binary digits, so its lower bound is
less than 0.1 % below any number in it. The buckets of a 64-bit number are at most some 110,000, whatever the number of
persons. Bands compare buckets, so the same counts give the same bands on any cluster.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

_EXACT_BITS = 11


def buckets_of(values: Integers) -> Integers:
    """The lower bound of each number's bucket; numbers are zero or more."""
    bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)  # a number below 2 ** bits
    drop = np.maximum(bits - _EXACT_BITS, 0)
    return (values >> drop) << drop


def limits_of(counts: dict[int, int], bands: int) -> tuple[int, ...]:
    """The upper bucket of each band but the last: the smallest that at least that share of the persons does not exceed.

    In:  bucket to number of persons. Out: bands - 1 buckets, ascending; none where there are no persons.
    """
    whole, so_far = sum(counts.values()), 0
    limits: list[int] = []
    for bucket in sorted(counts):
        so_far += counts[bucket]
        while len(limits) < bands - 1 and so_far * bands >= whole * (len(limits) + 1):
            limits.append(bucket)
    return tuple(limits)


def bands_of(values: Integers, limits: tuple[int, ...]) -> Integers:
    """The band of each number, from 1: one more than the limits that its bucket exceeds."""
    return np.searchsorted(np.array(limits, dtype=np.int64), buckets_of(values), side="left").astype(np.int64) + 1
