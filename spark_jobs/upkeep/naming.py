"""The tables that a verb of upkeep was asked for by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.tables import TABLES, table_named
from spark_jobs.errors import TerminalError


def tables_named(names: Sequence[str]) -> list[Table]:
    """These tables; TerminalError where no contract has a name."""
    known = {table.name for table in TABLES}
    if unknown := sorted(set(names) - known):
        raise TerminalError(f"no contract names {', '.join(unknown)}; known are {', '.join(sorted(known))}")
    return [table_named(name) for name in names]


def refuse_absent(root: str, named: Iterable[Table], there: Iterable[Table]) -> None:
    """TerminalError where a table that was named is not in the lake."""
    if absent := sorted({table.name for table in named} - {table.name for table in there}):
        raise TerminalError(f"{root} holds no Delta table {', '.join(absent)}; restore it, or name another")
