"""Rows with system time: what the platform knew at a moment.

`system_from` is the moment since when a row is known, `system_to` until when (exclusive, null while it is). Rows that a
release without system time wrote have no `system_from`: they are known from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_BEGINNING = "TIMESTAMP '1900-01-01 00:00:00'"


def moment(at_us: int) -> Column:
    """The instant of so many microseconds since 1970, UTC."""
    return F.timestamp_micros(F.lit(at_us))


def known_at(rows: DataFrame, at_us: int) -> DataFrame:
    """The rows that were known at a moment, as they were then: `system_to` is null.

    A later run may be half-written beside them: it changes nothing here.
    """
    at = moment(at_us)
    is_known = _since() <= at
    is_still_known = F.col("system_to").isNull() | (F.col("system_to") > at)
    return rows.where(is_known & is_still_known).withColumn("system_to", F.lit(None).cast("timestamp"))


def newest_at(rows: DataFrame, key: Sequence[str], at_us: int) -> DataFrame:
    """Of rows that are only ever added, the newest of each key at a moment."""
    others = [name for name in rows.columns if name not in key]
    known = rows.where(_since() <= moment(at_us)).withColumn("_since", _since())
    newest = known.groupBy(*key).agg(F.max_by(F.struct(*others), "_since").alias("_newest"))
    return newest.select(*[F.col(name if name in key else f"_newest.{name}").alias(name) for name in rows.columns])


def later_than(rows: DataFrame, at_us: int) -> DataFrame:
    """The rows of which something was written that was known only after a moment: a run that did not publish."""
    at = moment(at_us)
    is_later = _since() > at
    return rows.where(is_later | (F.col("system_to") > at)) if "system_to" in rows.columns else rows.where(is_later)


def taken_back(later: DataFrame, at_us: int) -> DataFrame:
    """Of rows `later_than` a moment, those that were known at it, as they were then."""
    rows = later.where(_since() <= moment(at_us))
    return rows.withColumn("system_to", F.lit(None).cast("timestamp")) if "system_to" in rows.columns else rows


def _since() -> Column:
    return F.coalesce(F.col("system_from"), F.expr(_BEGINNING))
