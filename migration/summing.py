"""What rows add up to, in one pass over them: a fingerprint for every chunk, facts of the columns, keys that repeat.

A task sums up its rows itself and gives back a row a chunk, beside the hashes of its keys in sorted pieces: what is
moved between tasks is 8 bytes a row (`storage.repeats`). Several sides of a comparison go through one shuffle: a second
one would cost its fixed price once more, and their rows meet nowhere, because each side has buckets of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial, reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.columns import Facts, packed, seen, to_look_at, together, unpacked
from spark_jobs.contracts.schema import Table
from spark_jobs.storage.fingerprints import PARTS, Parts, added, parts_of
from spark_jobs.storage.repeats import BUCKETS, PIECES, Hashes, Piles, by_bucket, repeated_of

CHUNK, OF, KEYS = "chunk", "of", "keys"
REFUSED = "refused_"  # after a side's name: what the places of its refused records add up to
NO_CHUNK = 0  # of rows that no migration brought
_FOUND = pa.schema(
    [(OF, pa.string()), *((name, pa.int64()) for name in (CHUNK, *PARTS, "key_a", KEYS)), ("columns", pa.binary())]
)
_PILED = pa.schema([*PIECES, *_FOUND])
_SQL = {pa.string(): "string", pa.int64(): "bigint", pa.int32(): "int", pa.binary(): "binary"}


def _ddl(schema: pa.Schema) -> str:
    return ", ".join(f"{one.name} {_SQL[one.type]}" for one in schema)


def chunk_of(origin: str = "origin") -> Column:
    """A chunk's number, from its origin: 64 bits, so that no text is moved with every row.

    Were two chunks of a plan to have one number, verification would be red.
    """
    is_migrated = F.startswith(origin, F.lit("migration/"))
    return F.when(is_migrated, F.xxhash64(origin)).otherwise(F.lit(NO_CHUNK)).alias(CHUNK)


@dataclass(frozen=True, slots=True)
class Side:
    """Rows to be summed (`to_sum`), and the name of their side, with which the names of their sums begin.

    `lent_to`: the side in which keys are found as if it had the rows of this one that do not count.
    """

    name: str
    rows: DataFrame
    lent_to: str = ""


@dataclass(frozen=True, slots=True)
class Summed:
    """What the rows of all sides add up to."""

    sums: DataFrame  # of (the side, or it and REFUSED), `chunk_of`, PARTS; several rows of a chunk add up
    twice: Mapping[str, DataFrame]  # by side that has such keys: key_a of those that stand more than once, or share it
    columns: Mapping[str, Facts]  # by side, of the rows that count


def to_sum(
    table: Table, *, digest: Column, counts: Column, key_a: Column | None = None, place: Column | None = None
) -> list[Column]:
    """What `read_once` wants of rows that have `chunk`.

    In: the digest, null where the row is refused; true where the row's columns are looked at; the hash of the key where
    keys are wanted (of a refused row it does not matter); the hash of a record's place where rows may be refused.
    """
    columns = {"digest": digest, "counts": F.coalesce(counts, F.lit(False)), "key_a": key_a, "place": place}
    named = [column.alias(name) for name, column in columns.items() if column is not None]
    return [F.col(CHUNK), *named, *to_look_at(table)]


@contextmanager
def read_once(sides: Sequence[Side], table: Table) -> Iterator[Summed]:
    """Read all rows of these sides, once; what was found is dropped afterwards."""
    names = [side.name for side in sides]
    piled = [
        side.rows.mapInArrow(
            partial(_piled, table, (side.name, number, names.index(side.lent_to) if side.lent_to else None)),
            _ddl(_PILED),
        )
        for number, side in enumerate(sides)
    ]
    found = by_bucket(reduce(DataFrame.union, piled)).mapInArrow(partial(_found, table, names), _ddl(_FOUND))
    # Kept: sums and keys are asked for later. What tasks say of a side, a row each, fills it.
    found = found.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        told = found.where("columns IS NOT NULL").select(OF, "columns", KEYS).collect()
        facts = {name: [unpacked(table, row["columns"]) for row in told if row[OF] == name] for name in names}
        yield Summed(
            found.where(F.col(CHUNK).isNotNull()).select(OF, CHUNK, *PARTS),
            {name: _keys_of(found, name) for name in names if any(row[KEYS] for row in told if row[OF] == name)},
            {name: together(several, table) for name, several in facts.items()},
        )
    finally:
        found.unpersist()


def _keys_of(found: DataFrame, side: str) -> DataFrame:
    return found.where((F.col(OF) == side) & F.col("key_a").isNotNull()).select("key_a")


@dataclass(slots=True)
class _Sums:
    """What one task has read."""

    parts: dict[int, Parts] = field(default_factory=dict)

    def add(self, chunks: Hashes, digests: Hashes) -> None:
        for chunk, of_chunk in _by_chunk(chunks, digests):
            parts = parts_of(of_chunk)
            self.parts[chunk] = added(self.parts[chunk], parts) if chunk in self.parts else parts

    def rows(self, of: str) -> pa.RecordBatch:
        """A row a chunk, spread over the buckets."""
        chunks, count = list(self.parts), len(self.parts)
        columns = zip(*self.parts.values(), strict=True) if count else [()] * len(PARTS)
        parts = dict(zip(PARTS, columns, strict=True))
        return _filled(count, bucket=[chunk % BUCKETS for chunk in chunks], of=[of] * count, chunk=chunks, **parts)


def _filled(length: int, **values: object) -> pa.RecordBatch:
    """Rows of what tasks send, null in all other columns."""
    columns = [pa.array(values[f.name], f.type) if f.name in values else pa.nulls(length, f.type) for f in _PILED]
    return pa.RecordBatch.from_arrays(columns, schema=_PILED)


def _piled(
    table: Table, side: tuple[str, int, int | None], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """What `read_once` shuffles: pieces of the keys, and in the end facts of the columns and sums.

    In: `to_sum`; a side's name, its number and that of the side that its keys are lent to.
    """
    name, number, lent_to = side
    piles, lent, sums, refused, columns = Piles(), Piles(), _Sums(), _Sums(), together([], table)
    for batch in batches:
        good = batch
        if batch.column("digest").null_count:
            is_good = pc.is_valid(batch.column("digest"))
            good, bad = batch.filter(is_good), batch.filter(pc.invert(is_good))
            refused.add(bad.column(CHUNK).to_numpy(), bad.column("place").to_numpy())
        sums.add(good.column(CHUNK).to_numpy(), good.column("digest").to_numpy())
        is_mine = good.column("counts")
        if "key_a" in batch.schema.names:
            yield from _as_sent(piles.add(good.column("key_a").to_numpy()), number)
        if lent_to is not None:
            others = good.filter(pc.invert(is_mine)).column("key_a")
            yield from _as_sent(lent.add(others.to_numpy()), lent_to)
        mine = good if is_mine.true_count == len(good) else good.filter(is_mine)
        columns = together([columns, seen(table, mine)], table)
    yield from _as_sent(piles.rest(), number)
    if lent_to is not None:
        yield from _as_sent(lent.rest(), lent_to)
    yield _filled(1, bucket=[0], of=[name], columns=[packed(columns)])
    yield sums.rows(name)
    yield refused.rows(f"{name}{REFUSED}")


def _by_chunk(chunks: Hashes, values: Hashes) -> Iterator[tuple[int, Hashes]]:
    """The values of each chunk; rows of one chunk mostly lie together."""
    if not len(chunks):
        return
    if (chunks == chunks[0]).all():
        yield int(chunks[0]), values
        return
    order = np.argsort(chunks, kind="stable")
    names, firsts = np.unique(chunks[order], return_index=True)
    yield from zip(names.tolist(), np.split(values[order], firsts[1:]), strict=True)


def _as_sent(several: Iterable[pa.RecordBatch], side: int) -> Iterator[pa.RecordBatch]:
    """Pieces in the buckets of a side."""
    for pieces in several:
        bucket = pc.add(pieces.column("bucket"), pa.scalar(side * BUCKETS, pa.int32()))
        yield _filled(pieces.num_rows, bucket=bucket, hashes=pieces.column("hashes"))


def _found(table: Table, names: Sequence[str], batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """In: `_piled`, by bucket. Out: keys that repeat, in a row a side their number and facts of columns, and sums."""
    sums, repeating = list[pa.RecordBatch](), Counter[str]()
    columns = {name: together([], table) for name in names}

    def pieces() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            told = batch.filter(pc.is_valid(batch.column("columns"))).select([OF, "columns"]).to_pylist()
            for one in told:
                columns[one[OF]] = together([columns[one[OF]], unpacked(table, one["columns"])], table)
            sums.append(batch.filter(pc.is_valid(batch.column(CHUNK))).select(_FOUND.names))
            yield batch.filter(pc.is_valid(batch.column("hashes")))

    for bucket, keys in repeated_of(pieces()):
        side = names[bucket // BUCKETS]
        repeating[side] += len(keys)
        yield _filled(len(keys), of=[side] * len(keys), key_a=keys).select(_FOUND.names)
    told = {"columns": [packed(columns[name]) for name in names], KEYS: [repeating[name] for name in names]}
    yield _filled(len(names), of=names, **told).select(_FOUND.names)
    yield from sums
