"""What one kind of database has to know: its words for types, names and values, and where its catalogue has what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

from migration.sources.addresses import Address
from spark_jobs.settings import SourceAccount

CONNECT_S = 30
DECIMAL_DIGITS = 38  # what Spark's decimals hold


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column; `data_type` in the database's words, digits of a number and of its fraction where it limits them."""

    name: str
    data_type: str
    digits: int | None = None
    scale: int | None = None

    @property
    def decimal(self) -> str:
        """The Spark type that holds every value of a decimal column; text where none does."""
        if self.digits is None or self.scale is None or not 0 <= self.scale <= self.digits <= DECIMAL_DIGITS:
            return "string"
        return f"decimal({self.digits},{self.scale})"


@dataclass(frozen=True, slots=True)
class TableFacts:
    """A table as the catalogue has it.

    `unique_key` orders its rows: its primary key, else columns of a unique index that are never null; empty where it
    has neither. `indexed` are the columns that an index begins with.
    """

    columns: tuple[TableColumn, ...]
    unique_key: tuple[str, ...]
    indexed: frozenset[str]
    row_bytes: int

    @property
    def header(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, slots=True)
class Wire:
    """How the values of a column come: the SQL that gives them, the Spark type that it comes as, and what it becomes.

    Text on the way (`wire` is string, `type` another) is for types that drivers or Spark would change in silence.
    """

    sql: str
    wire: str
    type: str


class Session(Protocol):
    """An open connection for questions; the statements must hold no user's input but what the dialect has quoted."""

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """All rows of a small answer."""


class Dialect(Protocol):
    """One kind of database."""

    driver: str
    begin: tuple[str, ...]
    key_types: frozenset[str]

    def connect_arguments(self, account: SourceAccount) -> dict[str, Any]:
        """What SQLAlchemy passes to Python's driver."""

    def jdbc(self, address: Address, account: SourceAccount) -> tuple[str, dict[str, str]]:
        """The JDBC URL, and what Spark passes to the driver, but for user and password."""

    def quoted(self, name: str) -> str:
        """A name as an identifier."""

    def text_of(self, sql: str, data_type: str) -> str:
        """SQL for a key's value as a text that `literal` makes the same value of."""

    def literal(self, text: str, data_type: str) -> str:
        """A key's value in SQL."""

    def wire(self, column: TableColumn) -> Wire:
        """How the column's values come."""

    def facts(self, session: Session, schema: str, name: str) -> TableFacts | None:
        """What the catalogue says of a table; None where the account sees none of this name."""

    def table_names(self, session: Session, schemas: Sequence[str]) -> list[str]:
        """SCHEMA.NAME of the tables in these schemas, sorted."""


def keys_of(rows: Sequence[Sequence[Any]]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The unique key, and the columns that an index begins with.

    In: a row for each column of each index, in the order of the index, the primary key first: index, is it unique,
    column (None for an expression, or a part of a column), may it be null.
    """
    unique_key: tuple[str, ...] = ()
    indexed = set()
    for _, found in groupby(rows, key=lambda row: row[0]):
        columns = list(found)
        indexed.add(columns[0][2])
        is_key = all(is_unique and name and not is_nullable for _, is_unique, name, is_nullable in columns)
        if is_key and not unique_key:
            unique_key = tuple(str(name) for _, _, name, _ in columns)
    return unique_key, frozenset(name for name in indexed if name)


def literals(values: Sequence[str]) -> str:
    """Names of the catalogue as a list of SQL texts; they come from checked mappings."""
    return ", ".join("'" + value.replace("'", "''") + "'" for value in values)
