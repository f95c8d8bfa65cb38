"""The manifest of an export: what the files are, what they follow from, who may have them and until when."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from spark_jobs.exports.definition import Export

NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class Selection:
    """The audience whose members are exported: its publication and generation, version, and how many they are."""

    name: str
    number: int
    generation: str
    version: str
    persons: int


@dataclass(frozen=True, slots=True)
class Basis:
    """The state of tags that is exported: generation, base time, identity snapshot, versions of tags, rows of all.

    `audience`: of the same state, whose members alone are exported; None for everybody. `refusals`: words that name who
    refuses profiling now, or did when the tags were computed; '' where nobody could.
    """

    generation: str
    base_at: datetime
    snapshot_id: str
    versions: Mapping[str, Mapping[str, str]]
    rows: int
    audience: Selection | None = None
    refusals: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """One file: its name, size in bytes, SHA-256 in hex."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of all files, and persons who are in none because they refuse profiling."""

    rows: int
    refused: int = 0


def manifest(
    export: Export, basis: Basis, files: Sequence[File], *, counts: Counts, made_at: datetime
) -> dict[str, Any]:
    """The manifest as a JSON object."""
    chosen = basis.audience
    audience = {} if chosen is None else {"name": chosen.name, "version": chosen.version, "number": chosen.number}
    return {
        "export": export.name,
        "definition": export.digest,
        "receiver": export.receiver,
        "purpose": export.purpose,
        "workspace": export.workspace,
        "format": export.format,
        "columns": list(export.columns),
        "identifiers": list(export.identifiers),
        "classes": list(export.classes),
        "only": [{"tag": one.tag, ("is_not" if one.is_not else "is"): list(one.values)} for one in export.only],
        **({"audience": audience} if audience else {}),
        "base_at": basis.base_at.isoformat(),
        "snapshot_id": basis.snapshot_id,
        "generation": basis.generation,
        "tags": {name: dict(version) for name, version in sorted(basis.versions.items())},
        "rows": counts.rows,
        "refused": counts.refused,
        "files": [{"name": one.name, "bytes": one.bytes, "sha256": one.sha256} for one in sorted(files, key=_by_name)],
        "made_at": made_at.isoformat(),
        "expires_at": (made_at + timedelta(days=export.keep_days)).isoformat(),
    }


def _by_name(file: File) -> str:
    return file.name


def folder_of(export: Export, basis: Basis) -> str:
    """The name of the folder: the same definition of the same state, with the same refusals, has the same one."""
    parts = [f"{basis.base_at.astimezone(UTC):%Y%m%dT%H%M%SZ}", basis.generation, export.digest[:8]]
    if basis.audience:
        parts.append(str(basis.audience.number))
    if basis.refusals:  # who refuses after the files were made is in none that is made after that
        parts.append(f"r{hashlib.sha256(basis.refusals.encode()).hexdigest()[:8]}")
    return "-".join(parts)


def is_expired(text: str, now: datetime) -> bool:
    """Whether a manifest says that its files must go."""
    return datetime.fromisoformat(json.loads(text)["expires_at"]) <= now
