"""Counting on the way: where a chunk's rows go, and the fingerprint of the good ones, in the pass that writes them.

Spark's observations are what a task counted of the rows that it passed on. They are exact where rows pass once: in the
last stage of a job, which a chunk's rows never leave, because nothing between source and files shuffles them.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F

from migration.chunks import Counts
from migration.mapping import Mapping
from migration.rows import digest_of, is_good
from spark_jobs.protection.tombstones import ERASED
from spark_jobs.storage.fingerprints import aggregates, of_row

# Refused records are looked for among the lines whose position leaves one of these remainders: a bitmap of 4 KB.
PLACES = 32_768
# With more remainders than this, nearly all lines would have to be looked at anyway.
MOST_REMAINDERS = 2_048
_DIGEST = "row digest"  # no column of a contract has such a name


class Tally:
    """What one pass over mapped rows counts; complete when `good` has been written, or after `run`."""

    def __init__(self, rows: DataFrame, mapping: Mapping) -> None:
        """In: `rows.mapped_rows`."""
        self.mapping = mapping
        self._seen = Observation()
        # As a column, so that the hash is computed once; null where the row is refused, which no aggregate counts.
        watched = rows.withColumn(_DIGEST, digest_of(mapping)).observe(
            self._seen,
            F.count(F.lit(1)).alias("read"),
            F.count("reason").alias("refused"),
            F.count_if(F.col("reason") == ERASED).alias("erased"),
            F.coalesce(F.sum("left_out"), F.lit(0)).alias("left_out"),
            remainders(F.when(~is_good(), F.col("line"))).alias("places"),
            *aggregates(F.col(_DIGEST)),
        )
        self.good = watched.where(is_good()).drop(_DIGEST)

    def run(self) -> None:
        """Count without writing."""
        self.good.write.format("noop").mode("overwrite").save()

    @property
    def counts(self) -> Counts:
        """Where the records went; none is a duplicate yet."""
        seen = self._seen.get
        return Counts(seen["read"], seen["refused"], 0, of_row(seen))

    @property
    def erased(self) -> int:
        """How many of the refused rows are of erased persons."""
        return int(self._seen.get["erased"])

    @property
    def left_out(self) -> int:
        """How many identifiers that mean nobody, or an erased person, were left out of good rows."""
        return int(self._seen.get["left_out"])

    @property
    def refused(self) -> list[int] | None:
        """The remainders of `line` by PLACES that refused records have; None where they are too many to help."""
        return few_of(self._seen.get["places"])


def remainders(line: Column) -> Column:
    """An aggregate: which remainders by PLACES the lines have, for `few_of`; of null it has none."""
    return F.bitmap_construct_agg(F.pmod(line, F.lit(PLACES)))


def few_of(bitmap: bytes) -> list[int] | None:
    """The remainders in a bitmap of `remainders`; None where they are too many to help."""
    found = [8 * n + bit for n, byte in enumerate(bitmap) if byte for bit in range(8) if byte >> bit & 1]
    return found if len(found) <= MOST_REMAINDERS else None


def is_among(few: Sequence[int] | None) -> Column:
    """True where a line has one of these remainders; everywhere where there are none to look for."""
    return F.lit(True) if few is None else F.pmod("line", F.lit(PLACES)).isin(list(few))
