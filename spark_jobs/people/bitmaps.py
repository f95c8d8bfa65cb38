"""Sets of persons as Roaring bitmaps: one a chunk of 2^20 person numbers, so that any number of them can be split.

No Spark here: executors use it on whole batches, and so do programs that read the lake without Spark.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyroaring import BitMap

from spark_jobs.contracts.audiences import CHUNK_BITS

Numbers = npt.NDArray[np.int64]

# Of a bitmap that some were taken out of: how many.
LEFT = "_left"
_REMAINDERS = (1 << CHUNK_BITS) - 1
# Rows in a batch that goes to Spark.
_MOST_ROWS = 100_000


def bitmap_of(numbers: npt.NDArray[np.uint32]) -> BitMap:
    """The set of these numbers, in whatever order they come."""
    return BitMap(array("I", numbers.tobytes()))


def by_chunk(person_no: Numbers) -> Iterator[tuple[int, BitMap]]:
    """Each chunk that has one of these persons, with them; a person may stand there several times.

    ValueError where a number is below zero: no person has such a number.
    """
    if not len(person_no):
        return
    ordered = np.sort(person_no)
    if ordered[0] < 0:
        raise ValueError(f"found person number {ordered[0]}, wanted numbers from 0")
    chunks = ordered >> CHUNK_BITS
    bounds = np.flatnonzero(np.diff(chunks)) + 1
    for part in np.split(ordered, bounds):
        yield int(part[0]) >> CHUNK_BITS, bitmap_of((part & _REMAINDERS).astype(np.uint32))


def persons_of(chunk: int, members: BitMap) -> Numbers:
    """The person numbers of a chunk's members, ascending."""
    remainders: npt.NDArray[np.uint32] = np.asarray(members.to_array(), dtype=np.uint32)
    return remainders.astype(np.int64) + (chunk << CHUNK_BITS)


def packed(members: BitMap) -> bytes:
    """The bitmap in the portable format, which libraries of Roaring in other languages read as well."""
    members.run_optimize()
    return members.serialize()


def unpacked(content: bytes) -> BitMap:
    """The bitmap of its portable format."""
    return BitMap.deserialize(content)


def unfolding(kept: Sequence[str]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow`: rows of bitmaps become a row a person.

    In:  `chunk`, `members`, and the columns `kept`.
    Out: the columns `kept`, and `person_no` behind them.
    """

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            columns = [batch.column(name) for name in kept]
            chunks, contents = batch.column("chunk").to_pylist(), batch.column("members").to_pylist()
            for begin, end, persons in _pieces(chunks, contents):
                places = pa.array(np.repeat(np.arange(begin, end), [len(one) for one in persons]))
                arrays = [*(column.take(places) for column in columns), pa.array(np.concatenate(persons))]
                yield pa.RecordBatch.from_arrays(arrays, names=[*kept, "person_no"])

    return kernel


def _pieces(chunks: Sequence[int], contents: Sequence[bytes]) -> Iterator[tuple[int, int, list[Numbers]]]:
    """Rows begin to end, with the persons of each; so few that they fit into a batch, and one at least."""
    begin, count = 0, 0
    held: list[Numbers] = []
    for place, (chunk, content) in enumerate(zip(chunks, contents, strict=True)):
        held.append(persons_of(chunk, unpacked(content)))
        count += len(held[-1])
        if count >= _MOST_ROWS:
            yield begin, place + 1, held
            begin, count, held = place + 1, 0, []
    if held:
        yield begin, len(chunks), held


def taking_out(columns: Sequence[str]) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """For `mapInArrow`: bitmaps lose some of their members; those that lose none are left out.

    In:  `columns`, among them `members` and `persons`, and `gone`: remainders to take out.
    Out: `columns` as they are then, and LEFT behind them.
    """

    def kernel(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            held = [unpacked(content) for content in batch.column("members").to_pylist()]
            leaving = [one & BitMap(gone) for one, gone in zip(held, batch.column("gone").to_pylist(), strict=True)]
            places = [place for place, one in enumerate(leaving) if len(one)]
            kept = [held[place] - leaving[place] for place in places]
            changed = {
                "members": pa.array([packed(one) for one in kept], pa.binary()),
                "persons": pa.array([len(one) for one in kept], pa.int64()),
            }
            taken = pa.array(places, pa.int64())
            arrays = [changed[name] if name in changed else batch.column(name).take(taken) for name in columns]
            left = pa.array([len(leaving[place]) for place in places], pa.int64())
            yield pa.RecordBatch.from_arrays([*arrays, left], names=[*columns, LEFT])

    return kernel
