"""Tables that an earlier release made: what it takes to make them as their contracts are now.

A column that may be null is added where the contract has it. Anything else would change what rows say, or rows that
stand already could not have it: that is for a person to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType

from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError


def additions(table: Table, found: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    """Definitions of the columns to add, in the contract's order; TerminalError names all that cannot be mended.

    In: name to type of the table's columns and of the contract's, in the same words for the same type. Columns that are
    in no contract stay: a newer release may have added them.
    """
    wrong = [
        f"{name} is {found[name]}, wanted {kind}" for name, kind in wanted.items() if found.get(name, kind) != kind
    ]
    missing = [column for column in table.columns if column.name not in found]
    wrong += [f"{column.name} is missing and may not be null" for column in missing if not column.nullable]
    if wrong:
        raise TerminalError(
            f"{table.name} was written by another release and is not as its contract: {'; '.join(wrong)}; run the "
            "release that wrote it, or move the table away and let its job write it anew"
        )
    names = table.column_names
    places = {name: f"AFTER `{before}`" for before, name in pairwise(names)}
    return [f"`{column.name}` {column.type} {places.get(column.name, 'FIRST')}" for column in missing]


def evolve(spark: SparkSession, path: str, table: Table, wanted: StructType) -> None:
    """Add the columns that the table lacks; nothing where it has them all. Repeated, it changes nothing."""
    if missing := _missing(spark, path, table, wanted):
        try:
            # One statement is one commit; each definition may stand after one that comes with it.
            spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS ({', '.join(missing)})")
        except AnalysisException:
            # Another process may have added them meanwhile: then all is well.
            if _missing(spark, path, table, wanted):
                raise


def _missing(spark: SparkSession, path: str, table: Table, wanted: StructType) -> list[str]:
    found = spark.read.format("delta").load(path).schema
    return additions(table, _types(found), _types(wanted))


def _types(schema: StructType) -> dict[str, str]:
    return {column.name: column.dataType.simpleString() for column in schema}
