"""Tables of the lake's DuckDB, made of Arrow tables and of answers to questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from services.profiles.lake import Lake
from spark_jobs.contracts.schema import Table


def make(lake: Lake, name: str, rows: pa.Table) -> None:
    """Make a table, in place of one of that name, with these rows."""
    _from(lake, rows, f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM given")


def add(lake: Lake, name: str, rows: pa.Table) -> None:
    """Add rows with the columns of a table, in its order."""
    _from(lake, rows, f"INSERT INTO {name} SELECT * FROM given")


def _from(lake: Lake, rows: pa.Table, sql: str) -> None:
    lake.duck.register("given", rows)
    lake.duck.execute(sql)
    lake.duck.unregister("given")


def create(lake: Lake, made: tuple[str, str], tables: Mapping[str, Table], values: Mapping[str, Any]) -> None:
    """A table of DuckDB, by its name, with the answer of a question; of the values, those that it asks for."""
    name, sql = made
    used = {key: value for key, value in values.items() if _is_named(key, sql)}
    lake.rows(f"CREATE OR REPLACE TABLE {name} AS {sql}", tables, used)


def _is_named(key: str, sql: str) -> bool:
    place = sql.find(f"${key}")
    while place >= 0:
        following = sql[place + len(key) + 1 : place + len(key) + 2]
        if not (following.isalnum() or following == "_"):
            return True
        place = sql.find(f"${key}", place + 1)
    return False
