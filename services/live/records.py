"""Facts of persons as packed rows of 64-bit numbers, and how events join them: each once, in whatever order they come.

An event is its moment (microseconds since 1970 UTC), its id, which filters it passes (bits), and 1. Events that are
older than every window are put together: the moment of the newest, no id, and how many they were.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

AT, IDENT, MASK, COUNT = range(4)
EVENT_WIDTH = 4
# A registration: when it was, and the base times at which its record holds: [since, until).
REGISTERED, SINCE, UNTIL = range(3)
REGISTRATION_WIDTH = 3

# So many hexadecimal digits of the MD5 of an event's id: DuckDB makes the same number of history (`filling.py`).
IDENT_DIGITS = 15
NO_IDENT = -1


def packed(rows: Rows) -> bytes:
    """The rows as bytes, little-endian."""
    return np.ascontiguousarray(rows, dtype="<i8").tobytes()


def unpacked(content: bytes, width: int) -> Rows:
    """The rows of so many numbers each; none of no bytes. They cannot be changed in place."""
    return np.frombuffer(content, dtype="<i8").reshape(-1, width)


def nothing(width: int) -> Rows:
    """No rows."""
    return np.zeros((0, width), dtype=np.int64)


def ident_of(event_id: str) -> int:
    """60 bits that stand for an event's id among those of one person."""
    digest = hashlib.md5(event_id.encode(), usedforsecurity=False).hexdigest()
    return int(digest[:IDENT_DIGITS], 16)


def with_fresh(base: Rows, live: Rows, fresh: Rows) -> Rows:
    """The live events of a person with fresh ones that neither they nor the facts of the batch hold; each once."""
    known = {*base[:, IDENT].tolist(), *live[:, IDENT].tolist()}
    places: list[int] = []
    for place, ident in enumerate(fresh[:, IDENT].tolist()):
        if ident not in known:
            known.add(ident)
            places.append(place)
    return np.concatenate([live, fresh[places]]) if places else live
