"""Columns that are dear to compute and used often: computed once a row, whatever asks for them."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def with_columns_once(rows: DataFrame, columns: Mapping[str, Column]) -> DataFrame:
    """The same rows with these columns added, or replaced.

    Spark merges neighbouring projections and moves filters below them, and copies an expression to each place that
    names it: of one `from_json` it made 37, and parsing took four times its time. It does neither across a generator,
    so the columns are put into an array as its only element and taken out again.
    """
    kept = [name for name in rows.columns if name not in columns]
    one = F.struct(*[value.alias(name) for name, value in columns.items()])
    return rows.select(*kept, F.inline_outer(F.array(one)))
