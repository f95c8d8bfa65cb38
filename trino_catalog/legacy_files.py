"""The old system's exported files as tables of Trino's schema `legacy`."""

from __future__ import annotations

import re
from pathlib import Path

from spark_jobs.errors import TerminalError
from trino_catalog.connection import Trino, literal
from trino_catalog.definitions import LEGACY
from trino_catalog.registration import location_of

SCHEMA = "legacy.legacy"
_TABLE = re.compile(r"CREATE TABLE \S+ \((?P<columns>.*)\)\s*WITH \((?P<properties>.*)\)", re.DOTALL)
_PROPERTY = re.compile(r"(\w+) = ('[^']*'|\w+)")


def show_old_files(trino: Trino, folder: str) -> None:
    """Make the tables; one that is there as it should be is left alone, for readers of the old side ask it."""
    root = folder.rstrip("/") if "://" in folder else str(Path(folder).resolve())
    trino.ask(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA} WITH (location = {literal(location_of(root))})")
    present = {row[0] for row in trino.ask(f"SHOW TABLES FROM {SCHEMA}").rows}
    for path in sorted(LEGACY.glob("*.sql")):
        files = f"{root}/{path.stem}"
        if "://" not in root and not any(Path(files).glob("*.csv")):
            raise TerminalError(f"the old system's files are not in {files}, wanted *.csv; give --legacy their folder")
        wanted = path.read_text(encoding="utf-8").replace("${location}", location_of(files))
        if path.stem in present:
            found = str(trino.ask(f"SHOW CREATE TABLE {SCHEMA}.{path.stem}").one()[0])
            if is_same_table(found, wanted):
                continue
            trino.ask(f"DROP TABLE {SCHEMA}.{path.stem}")
        trino.ask(wanted)


def is_same_table(found: str, wanted: str) -> bool:
    """True where two CREATE TABLE statements have the same columns and properties, whatever their order and blanks."""
    shapes = [_shape(statement) for statement in (found, wanted)]
    return None not in shapes and shapes[0] == shapes[1]


def _shape(statement: str) -> tuple[list[str], dict[str, str]] | None:
    match = _TABLE.search(statement)
    if match is None:
        return None
    columns = [" ".join(column.split()) for column in match["columns"].split(",")]
    return columns, dict(_PROPERTY.findall(match["properties"]))
