"""What stands in a target, in one pass over it: the fingerprint of every chunk, and the keys that stand more than once.

A task sums up its rows itself and gives back a row a chunk, beside the hashes of its keys in sorted pieces: what is
moved between tasks is 8 bytes a row (`storage.repeats`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.settling import key_hashes
from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import row_digest
from spark_jobs.storage.fingerprints import PARTS, Parts, added, aggregates, parts_of
from spark_jobs.storage.repeats import BUCKETS, PIECES, Hashes, Piles, by_bucket, repeated_of

CHUNK = "chunk"
_SUMS = pa.schema([(name, pa.int64()) for name in (CHUNK, *PARTS)])
_SUMS_DDL = ", ".join(f"{name} bigint" for name in _SUMS.names)
_PILED = pa.schema([*PIECES, *_SUMS])
_FOUND = pa.schema([*_SUMS, ("key_a", pa.int64())])


def chunk_of(origin: str = "origin") -> Column:
    """A chunk's number, from its origin: 64 bits, so that no text is moved with every row.

    Were two chunks of a plan to have one number, verification would be red.
    """
    return F.xxhash64(origin)


def summed(rows: DataFrame, prefix: str = "") -> DataFrame:
    """One row per chunk: the fingerprint of its rows and how many were refused. In: origin, digest."""
    refused = F.count_if(F.col("digest").isNull()).alias(f"{prefix}refused")
    return rows.groupBy("origin").agg(*aggregates(F.col("digest"), prefix), refused)


@dataclass(frozen=True, slots=True)
class Standing:
    """What a target holds."""

    sums: DataFrame  # a row per chunk: `chunk_of`, PARTS
    twice: DataFrame  # key_a of keys that stand more than once, and of different keys that share it


@contextmanager
def standing(target: DataFrame, table: Table) -> Iterator[Standing]:
    """Read all rows of a table once, when the first answer is asked for; the answers are dropped afterwards."""
    narrow = target.select(chunk_of().alias(CHUNK), row_digest(table.types).alias("digest"), key_hashes(table)[0])
    piled = by_bucket(narrow.mapInArrow(_piled, f"bucket int, hashes binary, {_SUMS_DDL}"))
    found = piled.mapInArrow(_found, f"{_SUMS_DDL}, key_a bigint").persist(StorageLevel.MEMORY_AND_DISK)
    sums = [(F.bit_xor if name == "digest_xor" else F.sum)(name).alias(name) for name in PARTS]
    try:
        yield Standing(
            found.where(F.col("key_a").isNull()).groupBy(CHUNK).agg(*sums),
            found.where(F.col("key_a").isNotNull()).select("key_a"),
        )
    finally:
        found.unpersist()


def _piled(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """In: chunk, digest, key_a. Out: pieces of the keys, and in the end the sums, spread over the buckets."""
    piles, sums = Piles(), dict[int, Parts]()
    for batch in batches:
        chunks, digests, keys = (column.to_numpy() for column in batch.columns)
        for chunk, of_chunk in _by_chunk(chunks, digests):
            parts = parts_of(of_chunk)
            sums[chunk] = added(sums[chunk], parts) if chunk in sums else parts
        yield from map(_with_nulls, piles.add(keys))
    yield from map(_with_nulls, piles.rest())
    yield _sum_rows(sums)


def _by_chunk(chunks: Hashes, digests: Hashes) -> Iterator[tuple[int, Hashes]]:
    """The digests of each chunk; rows of one chunk mostly lie together."""
    if not len(chunks):
        return
    if (chunks == chunks[0]).all():
        yield int(chunks[0]), digests
        return
    order = np.argsort(chunks, kind="stable")
    names, firsts = np.unique(chunks[order], return_index=True)
    yield from zip(names.tolist(), np.split(digests[order], firsts[1:]), strict=True)


def _with_nulls(pieces: pa.RecordBatch) -> pa.RecordBatch:
    nulls = [pa.nulls(pieces.num_rows, pa.int64())] * len(_SUMS)
    return pa.RecordBatch.from_arrays([*pieces.columns, *nulls], schema=_PILED)


def _sum_rows(sums: Mapping[int, Parts]) -> pa.RecordBatch:
    columns = list(zip(*((chunk, *parts) for chunk, parts in sums.items()), strict=True)) or [()] * len(_SUMS)
    buckets = pa.array([chunk % BUCKETS for chunk in sums], pa.int32())
    values = [pa.array(column, pa.int64()) for column in columns]
    return pa.RecordBatch.from_arrays([buckets, pa.nulls(len(sums), pa.binary()), *values], schema=_PILED)


def _found(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """In: `_piled`, by bucket. Out: the sums as they came, and the keys that stand more than once."""
    sums: list[pa.RecordBatch] = []

    def pieces() -> Iterator[pa.RecordBatch]:
        for batch in batches:
            is_piece = pc.is_valid(batch.column("hashes"))
            sums.append(batch.filter(pc.invert(is_piece)).select(_SUMS.names))
            yield batch.filter(is_piece)

    for keys in repeated_of(pieces()):
        nulls = [pa.nulls(len(keys), pa.int64())] * len(_SUMS)
        yield pa.RecordBatch.from_arrays([*nulls, pa.array(keys)], schema=_FOUND)
    for batch in sums:
        none = pa.nulls(batch.num_rows, pa.int64())
        yield pa.RecordBatch.from_arrays([*batch.columns, none], schema=_FOUND)
