"""A lake of so many persons with published tags, written by delta-rs a million rows at a time."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS, TAG_VERSIONS
from spark_jobs.contracts.identity import IDENTITY_MAP, IDENTITY_SNAPSHOTS, PERSONS
from spark_jobs.contracts.schema import Table
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser

WORKSPACE = "bench"
TAGS = tuple(f"tag_{number:02d}" for number in range(20))  # of which a person has every second one
TYPES = ("phone", "unionid")
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_PART = 500_000
_ARROW = {"string": pa.string(), "bigint": pa.int64(), "int": pa.int32(), "binary": pa.binary()}


def phone(person: int) -> str:
    """The phone of a person, in clear."""
    return f"+86139{person:08d}"


def write_identity(root: Path, key_file: Path, persons: int) -> None:
    """Persons with a phone and a UnionID each, and the snapshot that they are known by."""
    tokeniser = Tokeniser(load_root_keys(key_file))
    for numbers in _parts(persons):
        ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))) for number in numbers]
        _write(root, PERSONS, {"person_no": numbers, "person_id": ids, "survivor_id": ids})
        for kind in TYPES:
            texts = [phone(number) if kind == "phone" else f"union-{number:010d}" for number in numbers]
            digests = tokeniser.digests(kind, "", (text.encode() for text in texts))
            tokens = [digest[:16] for digest in digests]
            held = {"token": tokens, "person_no": numbers, "person_id": ids, "type": [kind] * len(numbers)}
            _write(root, IDENTITY_MAP, held)
    _write(root, IDENTITY_SNAPSHOTS, {"published_at": [_FIRST]})


def write_tags(root: Path, persons: int, number: int) -> None:
    """Publication `number`, in which every value is that number, so that a mix would show."""
    for part in _parts(persons):
        for place, tag in enumerate(TAGS):
            having = part[part % 2 == place % 2]
            named = {"person_no": having, "tag": [tag] * len(having), "generation": [_name(number)] * len(having)}
            _write(root, PERSON_TAGS, {**named, "value": [str(number)] * len(having)})
            news = {**named, "new_value": [str(number)] * len(having), "state_version": [number] * len(having)}
            _write(root, TAG_CHANGES, news)
    state = {tag: {"rule": "r", "basis": "b", "version": f"{tag}-v{number}", "classes": ""} for tag in TAGS}
    values = sum(len(part[part % 2 == place % 2]) for part in _parts(persons) for place in range(len(TAGS)))
    definition = json.dumps({"Tag": {"rule": {"Rule": {"otherwise": "none"}}}})
    versions = [facts["version"] for facts in state.values()]
    _write(root, TAG_VERSIONS, {"tag": list(TAGS), "version": versions, "definition": [definition] * len(TAGS)})
    row = {"number": number, "kind": "current", "rows": values, "changes": values, "generation": _name(number)}
    row |= {"published_at": _FIRST + timedelta(hours=number), "state": json.dumps({"tags": state})}
    _write(root, TAG_PUBLICATIONS, {name: [value] for name, value in row.items()})


def _name(number: int) -> str:
    return f"{number:012d}-bench"


def _parts(persons: int) -> Iterator[np.ndarray]:
    for start in range(0, persons, _PART):
        yield np.arange(start, min(start + _PART, persons))


def _write(root: Path, table: Table, given: dict[str, Any]) -> None:
    """Append columns; those that are not given have the same value in every row."""
    rows = len(next(iter(given.values())))
    at = pa.timestamp("us", "UTC")
    defaults: dict[str, Any] = {
        "workspace_id": WORKSPACE, "snapshot_id": "snapshot-1", "base_at": _FIRST, "system_from": _FIRST,
        "valid_from": datetime(1900, 1, 1, tzinfo=UTC), "valid_to": datetime(9999, 12, 31, tzinfo=UTC),
    }  # fmt: skip
    arrays, names = [], []
    for column in table.columns:
        kind = at if column.type == "timestamp" else _ARROW[column.type]
        same = pa.array([defaults.get(column.name)], kind)
        arrays.append(pa.array(given[column.name], kind) if column.name in given else same.take([0] * rows))
        names.append(column.name)
    where = root / table.schema_name / table.table_name
    where.parent.mkdir(parents=True, exist_ok=True)
    write_deltalake(where, pa.table(arrays, names=names), mode="append", partition_by=list(table.partition_by) or None)
