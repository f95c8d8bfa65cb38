"""Rows of a table's ranges in Spark: one range is one partition, in the order that gives each row its place.

Spark puts the text of a partition behind `WHERE`, at the statement's end, so it may end with `ORDER BY`: the rows are
numbered as the database sends them, and nothing clear is sorted or shuffled here. Conditions of Spark's own would
follow it, and be a syntax error, so they are switched off (`pushDownPredicate`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.sources.database import Database
from migration.sources.dialect import Wire
from migration.sources.ranges import Range, Split, rows_of

FETCHED_ROWS = 2_000  # rows that a connection holds at a time
_INDEX_BITS = 33  # of a monotonically increasing id; the partition's number stands above them


@dataclass(frozen=True, slots=True)
class TableRows:
    """Which rows are read: the table in SQL, how it is cut, the type of its key, and how its columns come."""

    table: str
    split: Split
    key_type: str
    wires: tuple[Wire, ...]


def read_ranges(session: SparkSession, database: Database, rows: TableRows, ranges: Sequence[Range]) -> DataFrame:
    """The rows of ranges: number (of the range among these, from 0), line (from 1), w0, w1... (columns as they come).

    At most as many connections as the account has are open at a time: a task reads its ranges one after another.
    """
    dialect = database.dialect
    names = [f"w{number}" for number in range(len(rows.wires))]
    order = [f"o{number}" for number in range(len(rows.split.unique_key) + 1)]
    selected = [f"{wire.sql} AS {dialect.quoted(name)}" for name, wire in zip(names, rows.wires, strict=True)]
    ordered_by = (rows.split.split_by, *rows.split.unique_key)
    selected += [f"{dialect.quoted(c)} AS {dialect.quoted(name)}" for name, c in zip(order, ordered_by, strict=True)]
    key, behind = dialect.quoted(order[0]), ", ".join(dialect.quoted(name) for name in order)
    url, options = dialect.jdbc(database.address, database.account)
    scan = session.read.jdbc(
        url,
        f"(SELECT {', '.join(selected)} FROM {rows_of(rows.table, rows.split)}) AS q",
        predicates=[f"{one.condition(key, rows.key_type, dialect)} ORDER BY {behind}" for one in ranges],
        properties={
            **options,
            "user": database.account.user,
            "password": database.account.password(),
            "fetchsize": str(FETCHED_ROWS),
            "pushDownPredicate": "false",
            "customSchema": ", ".join(f"{name} {wire.wire}" for name, wire in zip(names, rows.wires, strict=True)),
        },
    )
    # Directly above the scan, where a partition is still a range.
    numbered = scan.select(F.monotonically_increasing_id().alias("place"), *names)
    number = F.shiftright("place", _INDEX_BITS)
    line = F.col("place").bitwiseAND(F.lit((1 << _INDEX_BITS) - 1)) + F.lit(1)
    placed = numbered.select(number.alias("number"), line.alias("line"), *names)
    return placed.coalesce(min(len(ranges), database.account.connections))


def typed_fields(wires: Sequence[Wire]) -> list[Column]:
    """A column f0, f1... of the right type for each w0, w1...; null where a value is none of that type."""
    return [
        (F.col(f"w{number}") if wire.wire == wire.type else F.col(f"w{number}").try_cast(wire.type)).alias(f"f{number}")
        for number, wire in enumerate(wires)
    ]


def refusals(wires: Sequence[Wire], header: Sequence[str], used: frozenset[str]) -> list[Column]:
    """For each column that is used: why its value does not fit, such as a date without an end; never its content."""
    typed = typed_fields(wires)
    return [
        F.when(F.col(f"w{number}").isNotNull() & typed[number].isNull(), f"{header[number]}: not a {wire.type}")
        for number, wire in enumerate(wires)
        if wire.wire != wire.type and header[number] in used
    ]


def as_json(header: Sequence[str]) -> Column:
    """The record as its columns came, as the bytes of a JSON object; bytes among them in base64."""
    members = [F.col(f"w{number}").alias(name) for number, name in enumerate(header)]
    return F.to_json(F.struct(*members), {"ignoreNullFields": "false"}).cast("binary")
