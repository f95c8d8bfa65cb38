"""Reads what a platform exported: its identity map and the persons of its events, as Parquet or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from spark_jobs.errors import TerminalError

Key = tuple[str, str, bytes]  # type, scope, token
MAP_COLUMNS = ("type", "scope", "token", "person_id")


@dataclass(frozen=True, slots=True)
class MapRow:
    """The person of an identifier at the end of time, and how many persons it had in all."""

    person_id: str
    slices: int


def read_map(path: Path) -> dict[Key, MapRow]:
    """The map by identifier. Of several spans the open one counts, else the one that began last."""
    spans: dict[Key, list[tuple[bool, str, str]]] = {}
    for row in read_rows(path, MAP_COLUMNS):
        key = (str(row["type"]), str(row["scope"] or ""), _token(row["token"], path))
        is_open = row.get("valid_to") is None
        spans.setdefault(key, []).append((is_open, str(row.get("valid_from") or ""), str(row["person_id"])))
    return {key: MapRow(max(found)[2], len({person for *_, person in found})) for key, found in spans.items()}


def read_rows(path: Path, wanted: Sequence[str]) -> list[dict[str, object]]:
    """Rows of Parquet (a file, or a folder of files), or of a JSON file that holds a list of objects."""
    if not path.exists():
        raise TerminalError(f"{path} is missing; wanted Parquet, or JSON with a list of rows; export it again")
    try:
        rows = json.loads(path.read_bytes()) if path.suffix == ".json" else pq.read_table(path).to_pylist()
    except (OSError, ValueError, pa.ArrowInvalid) as error:
        raise TerminalError(f"{path} cannot be read: {error}; wanted Parquet, or JSON with a list of rows") from error
    if not isinstance(rows, list) or any(not isinstance(row, dict) or not row.keys() >= set(wanted) for row in rows):
        raise TerminalError(f"{path}: wanted rows with {', '.join(wanted)}; export it again")
    return rows


def _token(value: object, path: Path) -> bytes:
    try:
        return bytes(value) if isinstance(value, bytes) else bytes.fromhex(str(value))
    except ValueError as error:
        raise TerminalError(f"{path}: a token is neither binary nor hex; export it again") from error
