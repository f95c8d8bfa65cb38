"""Shares and ratios compared without rounding: whole numbers multiplied to 128 bits, as two halves."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

_HALF, _MASK = np.uint64(32), np.uint64(0xFFFF_FFFF)


def order_of(part: Integers, whole: Integers, limit: Fraction) -> npt.NDArray[np.int8]:
    """Where each part / whole lies: -1 below the limit, 0 on it, 1 above; parts are zero or more, wholes above it."""
    if limit < 0:
        return np.ones(len(part), dtype=np.int8)
    # part / whole against n / d is part * d against whole * n.
    left, right = _product(part, limit.denominator), _product(whole, limit.numerator)
    is_above = (left[0] > right[0]) | ((left[0] == right[0]) & (left[1] > right[1]))
    is_equal = (left[0] == right[0]) & (left[1] == right[1])
    return np.where(is_equal, 0, np.where(is_above, 1, -1)).astype(np.int8)


def is_share(part: Integers, whole: Integers, share: Decimal) -> Booleans:
    """Whether each part is at least such a share of its whole."""
    return np.asarray(order_of(part, whole, Fraction(share)) >= 0)


def _product(values: Integers, factor: int) -> tuple[Words, Words]:
    """High and low 64 bits of each value times the factor; both below 2 ** 63."""
    if not 0 <= factor < 2**63:
        raise ValueError(f"factor {factor} does not fit into 63 bits")
    words = values.astype(np.uint64)
    high, low = words >> _HALF, words & _MASK
    other_high, other_low = np.uint64(factor >> 32), np.uint64(factor & 0xFFFF_FFFF)
    lowest = low * other_low
    middle = high * other_low + (lowest >> _HALF)
    other_middle = low * other_high + (middle & _MASK)
    top = high * other_high + (middle >> _HALF) + (other_middle >> _HALF)
    return top, (other_middle << _HALF) | (lowest & _MASK)
