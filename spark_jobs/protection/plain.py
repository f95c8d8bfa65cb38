"""Identifiers as most of them are, a whole array at once: a few printable ASCII characters that mean somebody.

What is found here is what `contracts.identifiers` says of each value by itself; where anything is unusual the value is
left to those rules, so that this module can be wrong in one way only: by leaving too much to them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from spark_jobs.contracts.identifiers import MIN_DISTINCT_CHARACTERS, NOBODY

Mask = NDArray[np.bool_]

_LOOKED_AT = 8  # of the last characters: enough of them differ in all but placeholders
_LOWEST, _HIGHEST = ord("!"), ord("~")
_MOST_BYTES = 64
_CHINA_DIGITS = 11
_E_164 = r"^\+[1-9][0-9]{9,14}$"
_NOBODY = pa.array(sorted(NOBODY))


def plainly_good(type_name: str, values: pa.StringArray) -> tuple[Mask, pa.StringArray]:
    """Which of these values are good beyond doubt, and the normalised text of those, in their order. In: no nulls."""
    if type_name not in _TEXTS:
        return np.zeros(len(values), dtype=bool), values.slice(0, 0)
    texts = _TEXTS[type_name](values)
    is_good = _is_printable(values) & ~_of(pc.is_in(pc.ascii_lower(values), _NOBODY))
    if texts is not values:
        is_good &= ~_of(pc.is_in(pc.ascii_lower(pc.fill_null(texts, "")), _NOBODY)) & _of(pc.is_valid(texts))
    # Member numbers may be short; of all else the end must have a few different characters.
    if type_name != "member_no":
        is_good &= _ends_differ(values)
    return is_good, texts.filter(pa.array(is_good))


def _as_they_are(values: pa.StringArray) -> pa.StringArray:
    return values


def _phones(values: pa.StringArray) -> pa.StringArray:
    """E.164 of eleven digits without a country, and of what is E.164 already; null for other ways to write a number."""
    is_here = pc.and_(pc.equal(pc.binary_length(values), _CHINA_DIGITS), pc.ascii_is_decimal(values))
    is_here = pc.and_not(is_here, pc.starts_with(values, "00"))
    others: pa.Array = pa.scalar(None, pa.string())
    if pc.any(has_plus := pc.starts_with(values, "+")).as_py():
        is_whole = pc.and_(has_plus, pc.match_substring_regex(values, _E_164))
        others = pc.if_else(is_whole, values, others)
    return pc.if_else(is_here, pc.binary_join_element_wise("+86", values, ""), others)


_TEXTS: dict[str, Callable[[pa.StringArray], pa.StringArray]] = {
    **dict.fromkeys(("unionid", "openid", "cookie"), _as_they_are),
    **dict.fromkeys(("member_no", "login", "device"), pc.ascii_lower),
    "phone": _phones,
}


def _is_printable(values: pa.StringArray) -> Mask:
    """True for values of 1 to _MOST_BYTES characters of ASCII that are neither blank nor control."""
    data, starts, lengths = _bytes_of(values)
    is_short = (lengths > 0) & (lengths <= _MOST_BYTES)
    is_odd = (data < _LOWEST) | (data > _HIGHEST)
    if is_odd.any():
        odd_until = np.append(0, np.cumsum(is_odd))
        is_short &= odd_until[starts + lengths] == odd_until[starts]
    return is_short


def _ends_differ(values: pa.StringArray) -> Mask:
    """True where the last characters are MIN_DISTINCT_CHARACTERS different ones, or more."""
    data, starts, lengths = _bytes_of(values)
    if not len(data):
        return np.zeros(len(values), dtype=bool)
    seen = np.zeros(len(values), dtype=np.uint64)
    for back in range(1, _LOOKED_AT + 1):
        place = np.clip(starts + np.maximum(lengths - back, 0), 0, len(data) - 1)
        # Characters may share a bit, which leaves a good value to the rules, and never the other way. Both cases of a
        # letter share one, because most types compare them as one.
        seen |= np.left_shift(np.uint64(1), data[place].astype(np.uint64) & np.uint64(31))
    return np.bitwise_count(seen) >= MIN_DISTINCT_CHARACTERS


def _bytes_of(values: pa.StringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The bytes of all values, where each begins in them, and how many each has."""
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, dtype=np.int32)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    whole = np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)
    return whole, ends[:-1], np.diff(ends)


def _of(found: pa.BooleanArray) -> Mask:
    mask: Mask = found.to_numpy(zero_copy_only=False)
    return mask
