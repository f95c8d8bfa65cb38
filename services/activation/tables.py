"""Tables of the lake's DuckDB that are made of Arrow tables."""

from __future__ import annotations

import pyarrow as pa

from services.profiles.lake import Lake


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
