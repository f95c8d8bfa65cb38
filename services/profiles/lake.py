"""The lake as the loader reads it: Delta tables without Spark, through delta-rs, and DuckDB over them.

DuckDB sorts and joins outside of memory: beyond its limit it writes to the folder that it was given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError, TerminalError

BATCH_ROWS = 100_000
_DECORATION = re.compile("\x1b\\[[0-9;]*m|\u21b3")


@dataclass(frozen=True, slots=True)
class Lake:
    """An open DuckDB and the versions of the tables that this load sees, each fixed when it was first asked for."""

    root: str
    duck: duckdb.DuckDBPyConnection
    opened: dict[str, DeltaTable]

    def table(self, table: Table) -> DeltaTable:
        """One table as it was when it was asked for first; TerminalError where it is not there."""
        if table.name not in self.opened:
            where = f"{self.root}/{table.schema_name}/{table.table_name}"
            try:
                self.opened[table.name] = DeltaTable(where)
            except TableNotFoundError:
                raise TerminalError(f"{where} is no Delta table; run identity and tags first") from None
            except (DeltaError, OSError) as error:
                raise RetryableError(f"{where} cannot be read: {_causes(error)}") from error
        return self.opened[table.name]

    def id_of(self, table: Table) -> str:
        """The id that a table has for its life: one made anew under the same name has another."""
        return str(self.table(table).metadata().id)

    def rows(self, sql: str, tables: Mapping[str, Table], values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows of a question; for few of them. In: SQL with the names of `tables` and `$name` of values."""
        with self._answer(sql, tables, values) as answer:
            return answer.fetchall()

    def batches(self, sql: str, tables: Mapping[str, Table], values: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
        """The rows of a question, BATCH_ROWS at a time; any number of them."""
        with self._answer(sql, tables, values) as answer:
            reader: pa.RecordBatchReader = answer.to_arrow_reader(BATCH_ROWS)
            yield from reader

    @contextmanager
    def _answer(
        self, sql: str, tables: Mapping[str, Table], values: Mapping[str, Any]
    ) -> Iterator[duckdb.DuckDBPyRelation]:
        with self.duck.cursor() as cursor:
            for name, table in tables.items():
                cursor.register(name, _dataset(self.table(table)))
            try:
                yield cursor.sql(sql, params=dict(values))
            except duckdb.OutOfMemoryException as error:
                raise TerminalError(f"the load needs more memory: {_first_line(error)}; raise --memory-mb") from error
            except (duckdb.Error, OSError) as error:
                # A vacuum took a file, or the file system is away: the next load sees a newer version.
                raise RetryableError(f"the lake cannot be read: {_first_line(error)}") from error


@contextmanager
def opened_lake(root: str, *, memory_mb: int, scratch: Path, threads: int) -> Iterator[Lake]:
    """The lake below a storage root (a path or `hdfs://...`).

    memory_mb: of DuckDB; beside it stand a few batches. scratch: a folder for what does not fit, emptied afterwards.
    """
    with TemporaryDirectory(dir=scratch, prefix="profiles-load-") as folder, duckdb.connect() as duck:
        duck.execute(f"SET memory_limit = '{memory_mb}MB'")
        duck.execute(f"SET temp_directory = '{folder}'")
        duck.execute(f"SET threads = {threads}")
        duck.execute("SET preserve_insertion_order = false")
        duck.execute("SET TimeZone = 'UTC'")
        yield Lake(root, duck, {})


def _dataset(table: DeltaTable) -> ds.Dataset:
    # Spark writes timestamps of 96 bits; in nanoseconds the year 9999 would be another one.
    return table.to_pyarrow_dataset(parquet_read_options=ds.ParquetReadOptions(coerce_int96_timestamp_unit="us"))


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _causes(error: Exception) -> str:
    """What delta-rs says, a cause a line and coloured, in one line."""
    lines = (_DECORATION.sub("", line).strip() for line in str(error).splitlines())
    return ": ".join(line for line in lines if line) or type(error).__name__
