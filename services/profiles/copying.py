"""Rows of Arrow as PostgreSQL's binary COPY wants them, a whole batch at once.

Each row is the number of its fields (2 bytes) and, for every field, the length (4 bytes) and the bytes; all big-endian.
In the store no field is null.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

HEADER = b"PGCOPY\n\xff\r\n\x00" + b"\x00" * 8
TRAILER = b"\xff\xff"

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]

_COUNT, _LENGTH = 2, 4
_NUMBERS = {pa.int64(): ">i8", pa.int32(): ">i4"}


def encoded(batch: pa.RecordBatch) -> bytes:
    """The rows of a batch; TypeError for a type that the store does not use, ValueError where a field is null."""
    fields = [_field(column) for column in batch.columns]
    sizes = _COUNT + sum(_LENGTH + lengths for _, _, lengths in fields)
    sizes = np.broadcast_to(sizes, batch.num_rows).astype(np.int64)
    ends = np.cumsum(sizes)
    made: Bytes = np.zeros(int(ends[-1]) if batch.num_rows else 0, dtype=np.uint8)
    place = ends - sizes
    place = _put(made, place, _big_endian(np.full(batch.num_rows, len(fields)), ">i2"))
    for data, starts, lengths in fields:
        place = _put(made, place, _big_endian(lengths, ">i4"))
        made[_spread(place, lengths)] = data[_spread(starts, lengths)]
        place = place + lengths
    return made.tobytes()


def _field(column: pa.Array) -> tuple[Bytes, Places, Places]:
    """All bytes of a column, where each value begins in them, and how long it is."""
    if column.null_count:
        raise ValueError("a field is null")
    if column.type in _NUMBERS:
        kind = _NUMBERS[column.type]
        table = _big_endian(column.to_numpy(zero_copy_only=False), kind)
        width = table.shape[1]
        return table.reshape(-1), np.arange(len(column), dtype=np.int64) * width, np.full(len(column), width)
    if not (pa.types.is_string(column.type) or pa.types.is_binary(column.type)):
        raise TypeError(f"no binary form is known for {column.type}")
    plain = pc.cast(column, pa.binary())
    _, offsets, data = plain.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int32)[plain.offset : plain.offset + len(plain) + 1].astype(np.int64)
    whole = np.frombuffer(data, dtype=np.uint8) if data is not None else np.zeros(0, dtype=np.uint8)
    return whole, bounds[:-1], np.diff(bounds)


def _big_endian(numbers: NDArray[np.int64], kind: str) -> Bytes:
    """One row of bytes a number."""
    turned = np.ascontiguousarray(numbers.astype(kind))
    return turned.view(np.uint8).reshape(len(numbers), turned.itemsize)


def _put(made: Bytes, place: Places, table: Bytes) -> Places:
    """Write one row of bytes of the same width at each place; the places behind them."""
    width = table.shape[1]
    made[place[:, None] + np.arange(width)] = table
    behind: Places = place + width
    return behind


def _spread(starts: Places, lengths: Places) -> Places:
    """Every place of spans that begin somewhere and are so long, one span after the other."""
    total = int(lengths.sum())
    before = np.cumsum(lengths) - lengths
    places: Places = np.repeat(starts - before, lengths) + np.arange(total)
    return places
