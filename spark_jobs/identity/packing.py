"""Pairs of 64-bit numbers in packed rows: a row of Spark holds thousands of pairs as two columns of bytes.

Spark moves, sorts and writes a few large rows where it would handle every pair by itself. No row is over 1 MB, so that
a batch of rows stays small wherever batches are limited by bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame

from spark_jobs.identity.batches import Numbers

# What the pairs of a row are. LABELS come before CHILDREN where a bucket's rows are sorted.
LINKS, ALONE, SETTLED, LABELS, CHILDREN, READ, REFUSED = range(7)
PACKED = "kind int, bucket int, rows bigint, low bigint, high bigint, a binary, b binary"
SCHEMA = pa.schema(
    [
        *(("kind", pa.int32()), ("bucket", pa.int32())),
        *((name, pa.int64()) for name in ("rows", "low", "high")),
        *((name, pa.binary()) for name in ("a", "b")),
    ]
)
BLOCK = 1 << 16  # pairs of a row: 0.5 MB a column
PILE = 1 << 21  # pairs that wait to be sent to their buckets: 32 MB
MOST_BITS = 12
NOWHERE = 0  # the bucket of rows that go to no bucket
NOTHING = np.empty(0, np.int64)
_FIRST_ODD, _SECOND_ODD = 0xD6E8FEB86659FD93, 0xA0761D6478BD642F
_HALF, _SPREAD = np.uint64(32), 0x9E3779B97F4A7C15
_MODULUS = 2**64

Pair = tuple[Numbers, Numbers]


@dataclass(frozen=True, slots=True)
class Block:
    """One packed row."""

    kind: int
    bucket: int
    a: Numbers
    b: Numbers


def packed(kind: int, pairs: Iterable[Pair]) -> Iterator[pa.RecordBatch]:
    """Pairs that go to no bucket, in rows of at most BLOCK pairs; the second column may be empty."""
    for a, b in pairs:
        for since in range(0, a.size, BLOCK):
            part = slice(since, since + BLOCK)
            yield _batch(kind, [(NOWHERE, a[part], b[part])])


def note(kind: int, rows: int, example: str = "") -> pa.RecordBatch:
    """A row that tells how many there were, and of refused ones the first."""
    columns = [[kind], [NOWHERE], [rows], [0], [0], [example.encode()], [b""]]
    arrays = [pa.array(values, of_type) for values, of_type in zip(columns, SCHEMA.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def unpacked(batches: Iterable[pa.RecordBatch]) -> Iterator[Block]:
    """The packed rows, one after the other."""
    for batch in batches:
        kinds, buckets = batch.column("kind").to_pylist(), batch.column("bucket").to_pylist()
        columns = [[_numbers(value) for value in batch.column(name)] for name in ("a", "b")]
        yield from map(Block, kinds, buckets, *columns)


def by_bucket(rows: DataFrame) -> DataFrame:
    """All packed rows of a bucket in one partition, one bucket after the other, one kind after the other."""
    return rows.repartition("bucket").sortWithinPartitions("bucket", "kind")


def in_buckets(blocks: Iterable[Block]) -> Iterator[tuple[int, Iterator[Block]]]:
    """Rows of `by_bucket`, bucket by bucket; read one to its end before the next."""
    waiting: list[Block] = []
    source = iter(blocks)

    def of(bucket: int) -> Iterator[Block]:
        while waiting and waiting[0].bucket == bucket:
            yield waiting.pop()
            waiting.extend(_next(source))

    waiting.extend(_next(source))
    while waiting:
        bucket = waiting[0].bucket
        yield bucket, of(bucket)


def _next(source: Iterator[Block]) -> list[Block]:
    block = next(source, None)
    return [] if block is None else [block]


@dataclass(slots=True)
class Piles:
    """Pairs of one task on their way to buckets: by the leading bits of their keys, salted for it or salted already."""

    bits: int
    salt: int | None
    _waiting: dict[int, list[Pair]] = field(default_factory=dict)
    _held: int = 0

    def add(self, kind: int, keys: Numbers, values: Numbers) -> Iterator[pa.RecordBatch]:
        """Take more pairs; rows, where enough wait."""
        self._waiting.setdefault(kind, []).append((keys, values))
        self._held += keys.size
        if self._held >= PILE:
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """What still waits."""
        for kind, pairs in self._waiting.items():
            keys, values = (np.concatenate(side) for side in zip(*pairs, strict=True))
            buckets = bucket_of(keys if self.salt is None else salted(keys, self.salt), self.bits)
            order = np.argsort(buckets, kind="stable")  # of 16 bits: linear in the number of pairs
            keys, values = keys[order], values[order] if values.size else values
            ends = np.cumsum(np.bincount(buckets, minlength=1 << self.bits))
            yield from _bucketed(kind, ends, keys, values)
        self._waiting, self._held = {}, 0


def _bucketed(kind: int, ends: NDArray[np.int64], keys: Numbers, values: Numbers) -> Iterator[pa.RecordBatch]:
    parts: list[tuple[int, Numbers, Numbers]] = []
    held, begin = 0, 0
    for bucket, end in enumerate(ends.tolist()):
        for since in range(begin, end, BLOCK):
            part = slice(since, min(since + BLOCK, end))
            parts.append((bucket, keys[part], values[part]))
            held += part.stop - since
            if held >= BLOCK:
                yield _batch(kind, parts)
                parts, held = [], 0
        begin = end
    if parts:
        yield _batch(kind, parts)


def salt_of(number: int) -> int:
    """64 bits that have nothing to do with those of another round."""
    return ((number + 1) * _SPREAD) % _MODULUS


def salted(numbers: Numbers, salt: int) -> Numbers:
    """The numbers in another order, one to one: what is small under one salt may be large under another."""
    mixed = numbers.view(np.uint64) ^ np.uint64(salt)
    for odd in (_FIRST_ODD, _SECOND_ODD):
        mixed = (mixed ^ (mixed >> _HALF)) * np.uint64(odd)
    return (mixed ^ (mixed >> _HALF)).view(np.int64)


def unsalted(numbers: Numbers, salt: int) -> Numbers:
    """What was salted."""
    mixed = numbers.view(np.uint64)
    for odd in (_SECOND_ODD, _FIRST_ODD):
        mixed = (mixed ^ (mixed >> _HALF)) * np.uint64(pow(odd, -1, _MODULUS))
    return ((mixed ^ (mixed >> _HALF)) ^ np.uint64(salt)).view(np.int64)


def bucket_of(keys: Numbers, bits: int) -> NDArray[np.uint16]:
    """The leading bits of salted keys: a bucket is a range of them."""
    leading: NDArray[np.uint16] = (keys.view(np.uint64) >> np.uint64(64 - bits)).astype(np.uint16)
    return leading


def bits_for(rows: int, at_most: int) -> int:
    """How many leading bits make buckets of about `at_most` rows; 4,096 buckets are the most."""
    return min(MOST_BITS, max(1, (rows // max(1, at_most)).bit_length()))


def _batch(kind: int, parts: list[tuple[int, Numbers, Numbers]]) -> pa.RecordBatch:
    sizes = [a.size for _, a, _ in parts]
    ends = [np.concatenate([a, b]) if b.size else a for _, a, b in parts]
    columns = [
        pa.array([kind] * len(parts), pa.int32()),
        pa.array([bucket for bucket, _, _ in parts], pa.int32()),
        pa.array(sizes, pa.int64()),
        pa.array([int(numbers.min()) for numbers in ends], pa.int64()),
        pa.array([int(numbers.max()) for numbers in ends], pa.int64()),
        _bytes([a for _, a, _ in parts]),
        _bytes([b for _, _, b in parts]),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _bytes(columns: list[Numbers]) -> pa.Array:
    values = np.concatenate(columns) if len(columns) > 1 else np.ascontiguousarray(columns[0])
    offsets = np.zeros(len(columns) + 1, np.int32)
    np.cumsum([column.nbytes for column in columns], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(values)]
    return pa.BinaryArray.from_buffers(pa.binary(), len(columns), buffers, null_count=0)


def _numbers(value: pa.BinaryScalar) -> Numbers:
    held = value.as_buffer()
    return np.frombuffer(held, dtype=np.int64) if held.size else NOTHING
