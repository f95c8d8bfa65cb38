"""Fingerprints of many rows: equal means the same rows, whatever their order, files or partitions.

Count, bit_xor and exact sum of the row digests: bit_xor alone misses a row that came twice more, a 64-bit sum
overflows. They form a group, so that rows can be taken out again and parts added up.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

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


def aggregates(digest: Column) -> tuple[Column, Column, Column]:
    """The three aggregates over a digest column, named rows, digest_xor, digest_sum."""
    return (
        F.count(digest).alias("rows"),
        F.coalesce(F.bit_xor(digest), F.lit(0)).alias("digest_xor"),
        F.coalesce(F.sum(digest.cast("decimal(20,0)")), F.lit(0)).alias("digest_sum"),
    )


def of_row(row: Row) -> Fingerprint:
    """The fingerprint in a row of `aggregates`."""
    return Fingerprint(int(row["rows"]), int(row["digest_xor"]), int(Decimal(row["digest_sum"])))


def fingerprint(rows: DataFrame, table: Table) -> Fingerprint:
    """The fingerprint of all rows by the table's contract, in one pass; reads the rows, not the metadata."""
    result = rows.agg(*aggregates(row_digest(table.types))).first()
    return of_row(result) if result else EMPTY
