"""The vocabulary of table contracts: `Table`, `Column`, and what derives from them without Spark."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import Literal

PersonalData = Literal["none", "pseudonym", "personal", "sensitive"]

# Every table carries these. Deletion vectors stay off because switching them off later, while some exist, brings
# deleted rows back in Trino. Transactions are remembered for so long: each chunk of a migration is one, and every
# checkpoint of the log would hold all of them for ever; the ledger knows what was copied before.
BASE_PROPERTIES = {
    "delta.enableDeletionVectors": "false",
    "delta.setTransactionRetentionDuration": "interval 60 days",
}

_TRINO_SIMPLE = {
    "string": "varchar",
    "bigint": "bigint",
    "int": "integer",
    "double": "double",
    "boolean": "boolean",
    "date": "date",
    "binary": "varbinary",
    "timestamp": "timestamp(3) with time zone",  # all that Trino shows of Spark's microseconds
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: Spark type, meaning with its unit, and its class of personal data."""

    name: str
    type: str
    meaning: str
    nullable: bool = True
    personal: PersonalData = "none"


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its grain in words, the key that makes a row unique, layout on disk, and columns in order.

    `happened_at` is the time, or day, of what a row tells of, where that cannot lie in the future; '' where none is.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[str, ...] = ()
    statistics_on: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict, hash=False)  # tables are keys of mappings
    happened_at: str = ""

    def __post_init__(self) -> None:
        """Refuse a contract that contradicts itself, at import time."""
        names = [column.name for column in self.columns]
        named = {*self.key, *self.partition_by, *self.cluster_by, *self.statistics_on, self.happened_at} - {""}
        problems = [f"{name} is not a column" for name in sorted(named - set(names))]
        # Delta keeps no minima and maxima of binary columns, and so cannot cluster by them either.
        binary = {column.name for column in self.columns if column.type == "binary"}
        unskippable = sorted(binary & {*self.cluster_by, *self.statistics_on})
        problems += [f"{name} is binary and has no statistics" for name in unskippable]
        problems += [f"column {name} stands twice" for name in sorted({n for n in names if names.count(n) > 1})]
        if self.partition_by and self.cluster_by:
            problems.append("a table is partitioned or clustered, never both")
        if not re.fullmatch(r"[a-z]+\.[a-z_]+", self.name):
            problems.append("the name must be schema.table in lower case")
        if problems:
            raise ValueError(f"contract {self.name}: {'; '.join(problems)}")

    @property
    def schema_name(self) -> str:
        """The schema: `core` of `core.events`."""
        return self.name.split(".")[0]

    @property
    def table_name(self) -> str:
        """The table without its schema: `events` of `core.events`."""
        return self.name.split(".")[1]

    @property
    def column_names(self) -> tuple[str, ...]:
        """Column names in contract order."""
        return tuple(column.name for column in self.columns)

    @property
    def types(self) -> dict[str, str]:
        """Column name to Spark type, in contract order."""
        return {column.name: column.type for column in self.columns}

    @property
    def ddl(self) -> str:
        """The Spark schema as DDL text."""
        return ", ".join(f"`{c.name}` {c.type}{'' if c.nullable else ' NOT NULL'}" for c in self.columns)

    @property
    def all_properties(self) -> dict[str, str]:
        """The Delta table properties: the common ones, the columns that keep statistics, the table's own."""
        chosen = {"delta.dataSkippingStatsColumns": ",".join(self.statistics_on)} if self.statistics_on else {}
        return {**BASE_PROPERTIES, **chosen, **self.properties}

    @property
    def contract_hash(self) -> str:
        """16 hex digits that change when a column's name, order, type or nullability, or the key, changes."""
        shape = [self.name, list(self.key), [[c.name, c.type, c.nullable] for c in self.columns]]
        return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]


def trino_type(spark_type: str) -> str:
    """The type under which Trino's Delta connector shows a column of this Spark type.

    Raises ValueError for a type that the contracts do not use.
    """
    if spark_type in _TRINO_SIMPLE:
        return _TRINO_SIMPLE[spark_type]
    if decimal := re.fullmatch(r"decimal\((\d+),(\d+)\)", spark_type):
        return f"decimal({decimal[1]},{decimal[2]})"
    if array := re.fullmatch(r"array<(.+)>", spark_type):
        return f"array({trino_type(array[1])})"
    if struct := re.fullmatch(r"struct<(.+)>", spark_type):
        fields = (part.split(":") for part in struct[1].split(","))  # contracts nest simple types only
        return f"row({', '.join(f'{name} {trino_type(kind)}' for name, kind in fields)})"
    raise ValueError(f"no Trino type is known for Spark type {spark_type!r}")
