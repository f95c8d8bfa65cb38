"""Which of billions of 64-bit hashes stand more than once: sorted in Arrow, with one narrow shuffle.

A task sorts its hashes in piles and sends each bucket's piece of a pile as one row of bytes: Spark moves a few large
rows where it would move every hash by itself. Whoever gets a bucket sorts its pieces together, and equal neighbours
stand more than once. A bucket is a range of hashes, so a task holds one bucket at a time: of 50 billion, 100 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

Hashes = NDArray[np.int64]

_BITS = 12
BUCKETS = 1 << _BITS
PILE = 1 << 22  # hashes that a task holds before it sends them: 32 MB
PIECES = pa.schema([("bucket", pa.int32()), ("hashes", pa.binary())])
_FIRST = (np.arange(BUCKETS, dtype=np.int64) - BUCKETS // 2) << (64 - _BITS)  # the lowest hash of each bucket


@dataclass(slots=True)
class Piles:
    """Hashes of one task, given back in pieces: batches of a bucket and its hashes (PIECES)."""

    _waiting: list[Hashes] = field(default_factory=list)
    _held: int = 0

    def add(self, hashes: Hashes) -> Iterator[pa.RecordBatch]:
        """Take more of them; pieces, where a pile is full."""
        self._waiting.append(hashes)
        self._held += len(hashes)
        if self._held >= PILE:
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """The pieces of what is held."""
        if self._held:
            pile = np.sort(np.concatenate(self._waiting))
            self._waiting, self._held = [], 0
            yield _pieces(_at_most_twice(pile))


def _at_most_twice(pile: Hashes) -> Hashes:
    """Twice says as much as a billion times, and a bucket that has one hash so often would not fit into a task."""
    is_third = pile[2:] == pile[:-2]
    return np.delete(pile, np.flatnonzero(is_third) + 2) if is_third.any() else pile


def _pieces(pile: Hashes) -> pa.RecordBatch:
    ends = np.append(np.searchsorted(pile, _FIRST[1:]), len(pile))
    buckets = np.flatnonzero(np.diff(ends, prepend=0))
    offsets = np.append(0, ends[buckets]).astype(np.int32) * pile.itemsize
    pieces = pa.BinaryArray.from_buffers(
        pa.binary(), len(buckets), [None, pa.py_buffer(offsets), pa.py_buffer(pile)], null_count=0
    )
    return pa.RecordBatch.from_arrays([pa.array(buckets, pa.int32()), pieces], schema=PIECES)


def repeated(rows: DataFrame, name: str) -> DataFrame:
    """The values of a bigint column that more than one row has, each once, in a column of the same name.

    In: no nulls in the column.
    """

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return (pa.RecordBatch.from_arrays([pa.array(found)], names=[name]) for _, found in repeated_of(batches))

    return by_bucket(pieces_of(rows, name)).mapInArrow(kernel, f"`{name}` bigint")


def pieces_of(rows: DataFrame, name: str) -> DataFrame:
    """The values of a bigint column in sorted pieces: rows of PIECES."""
    return rows.select(name).mapInArrow(_piled, "bucket int, hashes binary")


def by_bucket(pieces: DataFrame) -> DataFrame:
    """All rows of a bucket in one partition, one bucket after the other."""
    return pieces.repartition("bucket").sortWithinPartitions("bucket")


def repeated_of(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, Hashes]]:
    """Each bucket that has hashes which stand more than once, and these. In: rows of PIECES, `by_bucket`."""
    for bucket, rows in groupby(chain.from_iterable(map(_rows, batches)), key=itemgetter(0)):
        hashes = np.sort(np.concatenate([piece for _, piece in rows]))
        if len(found := np.unique(hashes[1:][hashes[1:] == hashes[:-1]])):
            yield bucket, found


def _piled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    piles = Piles()
    for batch in batches:
        yield from piles.add(batch.column(0).to_numpy())
    yield from piles.rest()


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[int, Hashes]]:
    for bucket, piece in zip(batch.column(0).to_pylist(), batch.column(1), strict=True):
        yield bucket, np.frombuffer(piece.as_buffer(), dtype=np.int64)
