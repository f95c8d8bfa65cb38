"""64-bit numbers of texts, over whole Arrow arrays; compiled, so workers alone import it.

Two texts may meet in one number; whoever uses them keeps a dictionary and looks. Another seed then parts the two.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from spark_jobs.identity.batches import Numbers
from spark_jobs.identity.compiling import compiled


@compiled
def _mixed(held: np.uint64) -> np.uint64:
    held = (held ^ (held >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    held = (held ^ (held >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return held ^ (held >> np.uint64(33))


@compiled
def _hash(ends: Numbers, data: NDArray[np.uint8], seed: np.uint64, found: NDArray[np.uint64]) -> None:
    for i in range(found.size):
        # Mixed by itself: beside the word, a length could undo a character, whatever the seed.
        held = _mixed(seed + np.uint64(ends[i + 1] - ends[i]))
        word, bits = np.uint64(0), np.uint64(0)
        for place in range(ends[i], ends[i + 1]):
            word |= np.uint64(data[place]) << bits
            bits += np.uint64(8)
            if bits == np.uint64(64):
                held = _mixed(held ^ word) + np.uint64(0x9E3779B97F4A7C15)
                word, bits = np.uint64(0), np.uint64(0)
        found[i] = _mixed(held ^ word)


def numbers_of(texts: pa.Array, seed: int) -> Numbers:
    """A number for each text; no nulls."""
    plain = texts.cast(pa.large_string())
    _, offsets, data = plain.buffers()
    ends = np.frombuffer(offsets, np.int64)[plain.offset : plain.offset + len(plain) + 1]
    held = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    found = np.empty(len(plain), np.uint64)
    _hash(ends, held, np.uint64((seed + 1) * 0x9E3779B97F4A7C15 % 2**64), found)
    return found.view(np.int64)
