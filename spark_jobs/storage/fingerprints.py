"""Fingerprints of many rows: equal means the same rows, whatever their order, files or partitions.

Count, bit_xor and exact sum of the row digests: bit_xor alone misses a row that came twice more, a 64-bit sum
overflows. They form a group, so that rows can be taken out again and parts added up. Digests are summed in three pieces
of 20, 22 and 22 bits, which is exact for 2^41 rows and needs no decimals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import row_digest


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Rows, bit_xor and sum of their 64-bit digests under one contract."""

    rows: int
    digest_xor: int
    digest_sum: int

    def __add__(self, other: Fingerprint) -> Fingerprint:
        """The fingerprint of both sets of rows together."""
        return Fingerprint(
            self.rows + other.rows, self.digest_xor ^ other.digest_xor, self.digest_sum + other.digest_sum
        )

    def __sub__(self, other: Fingerprint) -> Fingerprint:
        """The fingerprint that is left when the other rows are taken out."""
        return Fingerprint(
            self.rows - other.rows, self.digest_xor ^ other.digest_xor, self.digest_sum - other.digest_sum
        )


EMPTY = Fingerprint(0, 0, 0)


# What `aggregates` makes.
PARTS = ("rows", "digest_xor", "digest_high", "digest_middle", "digest_low")
_PIECE = 22
_MASK = (1 << _PIECE) - 1


Parts = tuple[int, int, int, int, int]


def parts_of(digests: NDArray[np.int64]) -> Parts:
    """PARTS of digests that a Python kernel holds, the same as `aggregates` makes of them."""
    pieces = (digests >> 2 * _PIECE, (digests >> _PIECE) & _MASK, digests & _MASK)
    high, middle, low = (int(piece.sum()) for piece in pieces)
    return len(digests), int(np.bitwise_xor.reduce(digests)), high, middle, low


def added(one: Parts, other: Parts) -> Parts:
    """PARTS of both sets of digests together."""
    rows, high, middle, low = (one[n] + other[n] for n in (0, 2, 3, 4))
    return rows, one[1] ^ other[1], high, middle, low


def aggregates(digest: Column, prefix: str = "") -> list[Column]:
    """The aggregates over a digest column, named `prefix` and PARTS."""
    found = (F.count(digest), F.bit_xor(digest), *map(F.sum, _pieces(digest)))
    return [column.alias(f"{prefix}{name}") for column, name in zip(found, PARTS, strict=True)]


def parts_of_one(digest: Column) -> list[Column]:
    """PARTS of one row, which `together` adds up with those of others."""
    found = (F.lit(1).cast("bigint"), digest, *_pieces(digest))
    return [column.alias(name) for column, name in zip(found, PARTS, strict=True)]


def together(name: str) -> Column:
    """The aggregate that adds up one of PARTS, whatever stands before its name; null where there is nothing."""
    return (F.bit_xor if name.endswith(PARTS[1]) else F.sum)(name).alias(name)


def _pieces(digest: Column) -> tuple[Column, ...]:
    high, middle = F.shiftright(digest, 2 * _PIECE), F.shiftright(digest, _PIECE).bitwiseAND(F.lit(_MASK))
    return high, middle, digest.bitwiseAND(F.lit(_MASK))


def of_row(row: Row | Mapping[str, int | None], prefix: str = "") -> Fingerprint:
    """The fingerprint in a row of `aggregates`."""
    rows, xor, high, middle, low = (int(row[f"{prefix}{name}"] or 0) for name in PARTS)
    return Fingerprint(rows, xor, (high << 2 * _PIECE) + (middle << _PIECE) + low)


def fingerprint(rows: DataFrame, table: Table) -> Fingerprint:
    """The fingerprint of all rows by the table's contract, in one pass; reads the rows, not the metadata."""
    result = rows.agg(*aggregates(row_digest(table.types))).first()
    return of_row(result) if result else EMPTY
