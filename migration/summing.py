"""What rows add up to, in one pass over them: a fingerprint for every chunk, facts of the columns, keys that repeat.

A task sums up its rows itself and gives back a row a chunk, beside the hashes of its keys in sorted pieces: what is
moved between tasks is 8 bytes a row (`storage.repeats`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.columns import Facts, packed, seen, to_look_at, together, unpacked
from spark_jobs.contracts.schema import Table
from spark_jobs.storage.fingerprints import PARTS, Parts, added, aggregates, parts_of
from spark_jobs.storage.repeats import BUCKETS, PIECES, Hashes, Piles, by_bucket, pieces_of, repeated_of

CHUNK = "chunk"
REFUSED = "refused"
NO_CHUNK = 0  # of rows that no migration brought
_SUMS = [CHUNK, *PARTS, REFUSED]
_FOUND = pa.schema([*((name, pa.int64()) for name in _SUMS), ("columns", pa.binary()), ("key_a", pa.int64())])
_PILED = pa.schema([*PIECES, *_FOUND])
_FOUND_DDL = ", ".join(f"{name} {'binary' if name == 'columns' else 'bigint'}" for name in _FOUND.names)


def chunk_of(origin: str = "origin") -> Column:
    """A chunk's number, from its origin: 64 bits, so that no text is moved with every row.

    Were two chunks of a plan to have one number, verification would be red.
    """
    is_migrated = F.startswith(origin, F.lit("migration/"))
    return F.when(is_migrated, F.xxhash64(origin)).otherwise(F.lit(NO_CHUNK)).alias(CHUNK)


def summed(rows: DataFrame, prefix: str = "") -> DataFrame:
    """One row per chunk: the fingerprint of its rows and how many were refused. In: origin, digest; few rows."""
    refused = F.count_if(F.col("digest").isNull()).alias(f"{prefix}{REFUSED}")
    return rows.groupBy("origin").agg(*aggregates(F.col("digest"), prefix), refused)


@dataclass(frozen=True, slots=True)
class Summed:
    """What rows add up to."""

    sums: DataFrame  # a row per chunk: `chunk_of`, PARTS, REFUSED
    twice: DataFrame  # key_a of keys that stand more than once, and of different keys that share it
    columns: Facts


def to_sum(table: Table, *, digest: Column, counts: Column, key_a: Column | None = None) -> list[Column]:
    """What `read_once` wants of rows that have `chunk`.

    In: the digest, null where the row is refused; true where the row's columns are looked at; the hash of the key where
    keys are wanted (of a refused row it does not matter).
    """
    columns = {"digest": digest, "counts": F.coalesce(counts, F.lit(False)), "key_a": key_a}
    named = [column.alias(name) for name, column in columns.items() if column is not None]
    return [F.col(CHUNK), *named, *to_look_at(table)]


@contextmanager
def read_once(rows: DataFrame, table: Table, *, beside: DataFrame | None = None) -> Iterator[Summed]:
    """Read all rows, once; what was found is dropped afterwards.

    In: `to_sum`. `beside`: key_a of other rows that take part in finding keys, and are not summed.
    """
    piled = rows.mapInArrow(partial(_piled, table), f"bucket int, hashes binary, {_FOUND_DDL}")
    if beside is not None:
        piled = piled.unionByName(pieces_of(beside, "key_a"), allowMissingColumns=True)
    found = by_bucket(piled).mapInArrow(partial(_found, table), _FOUND_DDL).persist(StorageLevel.MEMORY_AND_DISK)
    sums = [(F.bit_xor if name == "digest_xor" else F.sum)(name).alias(name) for name in _SUMS[1:]]
    try:
        facts = [unpacked(table, row["columns"]) for row in found.where("columns IS NOT NULL").collect()]
        yield Summed(
            found.where(F.col(CHUNK).isNotNull()).groupBy(CHUNK).agg(*sums),
            found.where(F.col("key_a").isNotNull()).select("key_a"),
            together(facts, table),
        )
    finally:
        found.unpersist()


@dataclass(slots=True)
class _Sums:
    """What one task has read."""

    parts: dict[int, Parts] = field(default_factory=dict)
    refused: Counter[int] = field(default_factory=Counter)

    def add(self, chunks: Hashes, digests: Hashes) -> None:
        for chunk, of_chunk in _by_chunk(chunks, digests):
            parts = parts_of(of_chunk)
            self.parts[chunk] = added(self.parts[chunk], parts) if chunk in self.parts else parts

    def refuse(self, chunks: Hashes) -> None:
        for chunk, of_chunk in _by_chunk(chunks, chunks):
            self.refused[chunk] += len(of_chunk)

    def rows(self) -> pa.RecordBatch:
        """A row a chunk, spread over the buckets."""
        none = (0,) * len(PARTS)
        chunks = list({**self.parts, **self.refused})
        rows = [(chunk % BUCKETS, chunk, *self.parts.get(chunk, none), self.refused[chunk]) for chunk in chunks]
        values = zip(*rows, strict=True) if rows else [()] * (len(_SUMS) + 1)
        return _filled(len(rows), **dict(zip(["bucket", *_SUMS], values, strict=True)))


def _filled(length: int, **values: object) -> pa.RecordBatch:
    """Rows of what tasks send, null in all other columns."""
    columns = [pa.array(values[f.name], f.type) if f.name in values else pa.nulls(length, f.type) for f in _PILED]
    return pa.RecordBatch.from_arrays(columns, schema=_PILED)


def _piled(table: Table, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """In: `to_sum`. Out: pieces of the keys, and in the end facts of the columns and sums, spread over the buckets."""
    piles, sums, columns = Piles(), _Sums(), together([], table)
    for batch in batches:
        good = batch
        if batch.column("digest").null_count:
            is_good = pc.is_valid(batch.column("digest"))
            good = batch.filter(is_good)
            sums.refuse(batch.filter(pc.invert(is_good)).column(CHUNK).to_numpy())
        sums.add(good.column(CHUNK).to_numpy(), good.column("digest").to_numpy())
        if "key_a" in batch.schema.names:
            yield from map(_as_sent, piles.add(good.column("key_a").to_numpy()))
        is_mine = good.column("counts")
        columns = together(
            [columns, seen(table, good if is_mine.true_count == len(good) else good.filter(is_mine))], table
        )
    yield from map(_as_sent, piles.rest())
    yield _filled(1, bucket=[0], columns=[packed(columns)])
    yield sums.rows()


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


def _as_sent(pieces: pa.RecordBatch) -> pa.RecordBatch:
    return _filled(pieces.num_rows, **dict(zip(PIECES.names, pieces.columns, strict=True)))


def _found(table: Table, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """In: `_piled`, by bucket. Out: sums as they came, facts of the columns in one row, and keys that repeat."""
    sums: list[pa.RecordBatch] = []
    columns = together([], table)

    def pieces() -> Iterator[pa.RecordBatch]:
        nonlocal columns
        for batch in batches:
            sent = batch.column("columns").drop_null().to_pylist()
            columns = together([columns, *(unpacked(table, content) for content in sent)], table)
            sums.append(batch.filter(pc.is_valid(batch.column(CHUNK))).select(_FOUND.names))
            yield batch.filter(pc.is_valid(batch.column("hashes")))

    for keys in repeated_of(pieces()):
        yield _filled(len(keys), key_a=keys).select(_FOUND.names)
    yield _filled(1, columns=[packed(columns)]).select(_FOUND.names)
    yield from sums
