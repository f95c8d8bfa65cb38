"""Tables as Trino shows them: registered by path, and compared column by column with their contracts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from spark_jobs.contracts.schema import Table, trino_type
from spark_jobs.errors import TerminalError
from trino_catalog.connection import Trino, literal

# What Trino says of a folder in which nothing has been committed yet; there is no code of its own for it.
_NO_TABLE_YET = "No transaction log found"
_LOCATION = re.compile(r"\blocation = '([^']*)'")


def location_of(storage_root: str) -> str:
    """The storage root as Trino writes it: a path without scheme, or with `file:`, is on the local disk."""
    if "://" in storage_root and not storage_root.startswith("file:"):
        return storage_root
    return "local:///" + storage_root.removeprefix("file:").lstrip("/")


def ensure_schemas(trino: Trino, storage_root: str, names: Iterable[str]) -> None:
    """Create the schemas of these `schema.table` names where they are not there.

    Each lies at the root itself: the metastore, which would make a folder that is missing, may not write into the lake.
    Tables have locations of their own, and views have none.
    """
    place = f"WITH (location = {literal(location_of(storage_root))})"
    for schema in dict.fromkeys(name.split(".")[0] for name in names):
        trino.ask(f"CREATE SCHEMA IF NOT EXISTS lake_admin.{schema} {place}")


def shown(trino: Trino) -> set[str]:
    """Names of all tables and views that are there."""
    rows = trino.ask("SELECT table_schema, table_name FROM lake_admin.information_schema.tables").rows
    return {f"{schema}.{name}" for schema, name in rows}


def register_tables(trino: Trino, storage_root: str, tables: Iterable[Table]) -> list[Table]:
    """Make every table known that has a commit, anew where its folder moved; Out: those that are known now."""
    wanted = list(tables)
    ensure_schemas(trino, storage_root, (table.name for table in wanted))
    drop_views(trino, {table.name for table in wanted})
    known = shown(trino)
    return [
        table for table in wanted if _register(trino, location_of(storage_root), table, is_known=table.name in known)
    ]


def drop_views(trino: Trino, names: set[str]) -> None:
    """Drop views that have a table's name: an earlier release made one where a table stands now."""
    rows = trino.ask("SELECT table_schema, table_name FROM lake_admin.information_schema.views").rows
    for name in sorted(names & {f"{schema}.{view}" for schema, view in rows}):
        trino.ask(f"DROP VIEW lake_admin.{name}")


def _register(trino: Trino, root: str, table: Table, *, is_known: bool) -> bool:
    location = f"{root}/{table.schema_name}/{table.table_name}"
    names = f"{literal(table.schema_name)}, {literal(table.table_name)}"
    if is_known:
        found = _LOCATION.search(str(trino.ask(f"SHOW CREATE TABLE lake_admin.{table.name}").one()[0]))
        if found is not None and found[1] == location:
            return True
        trino.ask(f"CALL lake_admin.system.unregister_table({names})")
    try:
        trino.ask(f"CALL lake_admin.system.register_table({names}, {literal(location)})")
    except TerminalError as error:
        if _NO_TABLE_YET in str(error):
            return False
        raise
    return True


def check_tables(trino: Trino, tables: Iterable[Table]) -> None:
    """TerminalError where Trino shows other columns, types or order than a contract says; all of it in one message."""
    found: dict[str, list[tuple[str, str]]] = {}
    rows = trino.ask(
        "SELECT table_schema, table_name, column_name, data_type FROM lake_admin.information_schema.columns "
        "ORDER BY table_schema, table_name, ordinal_position"
    ).rows
    for schema, name, column, kind in rows:
        found.setdefault(f"{schema}.{name}", []).append((column, kind.replace('"', "")))
    problems = [problem for table in tables for problem in _differences(table, found.get(table.name, []))]
    if problems:
        raise TerminalError(
            f"Trino shows tables otherwise than their contracts: {'; '.join(problems)}; were they written by another "
            "release? Upgrade it, or restore the tables"
        )


def _differences(table: Table, found: list[tuple[str, str]]) -> list[str]:
    wanted = {column.name: trino_type(column.type) for column in table.columns}
    kinds = dict(found)
    problems = [
        f"{table.name}.{name} is {kinds.get(name, 'missing')}, wanted {kind}"
        for name, kind in wanted.items()
        if kinds.get(name) != kind
    ]
    problems += [f"{table.name}.{name} is in no contract" for name in kinds if name not in wanted]
    if not problems and list(kinds) != list(wanted):
        problems.append(f"{table.name} has its columns in the order {list(kinds)}, wanted {list(wanted)}")
    return problems
