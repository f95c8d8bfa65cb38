"""A lake whose persons all have the same history of events, and the tags that a batch would publish of it."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from deltalake import write_deltalake

from bench.profiles.rows import WORKSPACE, phone, write_identity
from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_PUBLICATIONS, TAG_TIMERS, TAG_VERSIONS
from spark_jobs.contracts.schema import Table
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.tagging.reading import HEAD_FILE, read_catalogue
from spark_jobs.tagging.versions import definition_text

_PART = 100_000
_AT = pa.timestamp("us", "UTC")
_ARROW = {
    "string": pa.string(), "bigint": pa.int64(), "binary": pa.binary(), "boolean": pa.bool_(), "date": pa.date32(),
    "timestamp": _AT,
    "array<struct<tag:string,at:bigint>>": pa.list_(pa.struct([("tag", pa.string()), ("at", pa.int64())])),
}  # fmt: skip
_HEAD: dict[str, object] = {"workspace": WORKSPACE, "attributes": [], "history": {}}
_SHARED: dict[str, object] = {
    "title": {"en": "bench", "zh": "bench"}, "folder": "bench", "owner": "bench", "class": "none", "among": "everyone",
    "missing": {"answer": "otherwise", "because": "bench"}, "otherwise": "none",
}  # fmt: skip
_VIEWS = {"source": "events", "where": {"name": "view"}}
# What each of them answers of everybody at the base time; of `views`, how many events a person has.
_TAGS: dict[str, tuple[dict[str, object], str]] = {
    "views": (
        {"measures": {"m": {"count": "events", "where": {"name": "view"}, "window": "30 days"}}, "value": "m"},
        "",
    ),
    "recency": ({"measures": {"m": {"recency": "events", "window": "30 days"}}, "value": "m"}, "1"),
    "fresh": (
        {
            "measures": {"m": {"last": "events", "where": {"name": "view"}, "window": "30 days"}},
            "levels": [{"value": "yes", "when": {"m": {"within": "2 days"}}}],
        },
        "yes",
    ),
}


def write_lake(root: Path, key_file: Path, *, persons: int, events: int) -> datetime:
    """Persons with so many events each in the four weeks before the last midnight (UTC), which is the base time."""
    base = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    write_identity(root, key_file, persons)
    tokeniser = Tokeniser(load_root_keys(key_file))
    for part in _parts(persons):
        tokens = [digest[:16] for digest in tokeniser.digests("phone", "", (phone(n).encode() for n in part))]
        _events(root, part, tokens, base=base, events=events)
        subject = {"subject_type": "phone", "subject_scope": "", "registered_at": base - timedelta(days=90)}
        subject |= {"valid_from": base - timedelta(days=90), "origin": "bench", "origin_position": 0}
        _write(root, MEMBERS, {"subject_token": tokens}, same=subject)
    _tags(root, persons, base, events)
    return base


def _events(root: Path, part: np.ndarray, tokens: list[bytes], *, base: datetime, events: int) -> None:
    """The newest lies an hour before the base time."""
    step = timedelta(days=27) / max(1, events)
    for number in range(events):
        at = base - timedelta(hours=1) - step * number
        same = {"source": "web", "name": "view", "terminal": "pc", "authenticated": True, "properties": "{}"}
        same |= {"occurred_at": at, "received_at": at, "occurred_date": at.date(), "subject_type": "phone"}
        same |= {"subject_scope": "", "origin": "bench", "origin_position": number}
        ids = [f"h-{person}-{number}" for person in part.tolist()]
        _write(root, EVENTS, {"event_id": ids, "subject_token": tokens}, same=same)


def _tags(root: Path, persons: int, base: datetime, events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in ((HEAD_FILE, _HEAD), *((f"{tag}.yaml", _definition(tag)) for tag in _TAGS)):
            (Path(folder) / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
        catalogue = read_catalogue(Path(folder))
    shared = {"base_at": base, "generation": "000000000001-bench", "snapshot_id": "snapshot-1"}
    for part in _parts(persons):
        ids = [str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))) for number in part.tolist()]
        for tag, (_, value) in _TAGS.items():
            told = {**shared, "tag": tag, "value": value or str(events), "version": f"{tag}-v1"}
            _write(root, PERSON_TAGS, {"person_no": part, "person_id": ids}, same=told)
    for table in (TAG_CHANGES, TAG_TIMERS):
        _write(root, table, {"person_no": np.zeros(0, dtype=np.int64)}, same=shared)
    marks = json.dumps({table.name: f"{_version(root, table)}@x" for table in (EVENTS, MEMBERS)})
    told = {**shared, "watermark": marks, "head": definition_text(catalogue.head)}
    named = {"tag": [tag.name for tag in catalogue.tags], "version": [f"{tag.name}-v1" for tag in catalogue.tags]}
    _write(root, TAG_VERSIONS, {**named, "definition": [definition_text(tag) for tag in catalogue.tags]}, same=told)
    state = {tag: {"rule": "r", "basis": "b", "version": f"{tag}-v1", "classes": ""} for tag in _TAGS}
    row = {"kind": "current", "published_at": base + timedelta(minutes=1), "state": json.dumps({"tags": state})}
    row |= {"rows": persons * len(_TAGS), "changes": 0}
    _write(root, TAG_PUBLICATIONS, {"number": [1]}, same={**shared, **row})


def _definition(tag: str) -> dict[str, object]:
    return {"tag": tag, **_SHARED, **_TAGS[tag][0]}


def _version(root: Path, table: Table) -> int:
    from deltalake import DeltaTable  # noqa: PLC0415 - beside its only use

    return int(DeltaTable(root / table.schema_name / table.table_name).version())


def _parts(persons: int) -> Iterator[np.ndarray]:
    for start in range(0, persons, _PART):
        yield np.arange(start, min(start + _PART, persons))


def _write(root: Path, table: Table, given: dict[str, Any], *, same: dict[str, Any]) -> None:
    """Append columns that are given, and those that are the same in every row; all others are null."""
    rows = len(next(iter(given.values())))
    known = {"workspace_id": WORKSPACE, **same}
    arrays, names = [], []
    for column in table.columns:
        if column.type not in _ARROW:
            continue
        kind = _ARROW[column.type]
        constant = pa.array([known.get(column.name)], kind).take(np.zeros(rows, dtype=np.int64))
        arrays.append(pa.array(given[column.name], kind) if column.name in given else constant)
        names.append(column.name)
    where = root / table.schema_name / table.table_name
    where.parent.mkdir(parents=True, exist_ok=True)
    write_deltalake(where, pa.table(arrays, names=names), mode="append", partition_by=list(table.partition_by) or None)
