"""Planning: which files are taken, exactly as they are now, and which are not, with the reason."""

from __future__ import annotations

import codecs
import csv
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from migration.chunks import Chunk, chunk_id_of
from migration.documents import version_of
from migration.jobfile import Job
from migration.ledger import Ledger, Plan, now
from migration.mapping import Mapping
from spark_jobs.errors import TerminalError

READ_BYTES = 4 * 1024 * 1024
HEADER_BYTES = 1024 * 1024
READERS = 4


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that the plan does not take, and why."""

    source_object: str
    reason: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan before it is stored: what it takes, what it refuses, and files that no mapping names."""

    plan: Plan
    chunks: tuple[Chunk, ...]
    refused: tuple[Refused, ...]
    unnamed: tuple[str, ...]


def draft_plan(job: Job, ledger: Ledger) -> Draft:
    """Look at every file of the job's folder once; nothing is stored. TerminalError where the folder is no folder."""
    if not job.source.is_dir():
        raise TerminalError(f"source {job.source} is no folder that can be read; check `source` or --source")
    found = list(_files(job))
    with ThreadPoolExecutor(READERS) as readers:
        looked = list(readers.map(lambda pair: _look_at(job.source, *pair), found))
    chunks = [chunk for chunk in looked if isinstance(chunk, Chunk)]
    refused = [entry for entry in looked if isinstance(entry, Refused)]
    refused += [Refused(mapping.files, "no file has such a name") for mapping in _without_files(job, found)]
    refused += _changed_since(chunks, ledger)
    plan_id = version_of([job.name, job.version, sorted(chunk.chunk_id for chunk in chunks)])
    named = {path for path, _ in found}
    return Draft(
        plan=Plan(plan_id, job.name, job.version, str(job.source), now()),
        chunks=tuple(replace(chunk, plan_id=plan_id) for chunk in sorted(chunks, key=lambda chunk: chunk.chunk_id)),
        refused=tuple(refused),
        unnamed=tuple(str(path.relative_to(job.source)) for path in _all_files(job.source) if path not in named),
    )


def check_unchanged(chunk: Chunk, source: Path) -> None:
    """Raise TerminalError where the chunk's file is no longer the one that was planned."""
    path = source / chunk.source_object
    try:
        found = path.stat()
    except OSError as error:
        raise TerminalError(f"{path} cannot be read: {error.strerror}; put the planned file back") from error
    if (found.st_size, found.st_mtime_ns) != (chunk.bytes, chunk.mtime_ns):
        raise TerminalError(
            f"{path} changed after it was planned: {found.st_size} bytes of {_moment(found.st_mtime_ns)}, planned "
            f"{chunk.bytes} bytes of {_moment(chunk.mtime_ns)}; put that file back, or run `migration plan` again"
        )


def _moment(mtime_ns: int) -> str:
    return datetime.fromtimestamp(mtime_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _files(job: Job) -> Iterator[tuple[Path, Mapping]]:
    for mapping in job.mappings:
        for path in sorted(job.source.glob(mapping.files)):
            if path.is_file():
                yield path, mapping


def _all_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _without_files(job: Job, found: list[tuple[Path, Mapping]]) -> list[Mapping]:
    used = {mapping.table.name for _, mapping in found}
    return [mapping for mapping in job.mappings if mapping.table.name not in used]


def _changed_since(chunks: list[Chunk], ledger: Ledger) -> list[Refused]:
    """Files of which another content stands in the target already: their new rows cannot replace the old ones."""
    refused = []
    for chunk in chunks:
        if other := ledger.copied_earlier(chunk):
            reason = f"another content of it was copied as {other}; put that file back, or give the new one a new name"
            refused.append(Refused(chunk.source_object, reason))
    return refused


def _look_at(source: Path, path: Path, mapping: Mapping) -> Chunk | Refused:
    name = str(path.relative_to(source))
    try:
        before = path.stat()
        header = _header(path, mapping)
        sha256, records = _content(path)
        after = path.stat()
    except OSError as error:
        return Refused(name, f"cannot be read: {error.strerror}")
    except (UnicodeDecodeError, csv.Error) as error:
        return Refused(name, f"its first line is no header in {mapping.dialect.encoding}: {type(error).__name__}")
    reason = _header_problem(header, mapping)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        reason = "it changed while it was read; plan again when it is complete"
    if reason:
        return Refused(name, reason)
    return Chunk(
        plan_id="",
        chunk_id=chunk_id_of(mapping.table.name, name, sha256),
        target=mapping.table.name,
        source_object=name,
        bytes=before.st_size,
        mtime_ns=before.st_mtime_ns,
        sha256=sha256,
        records=records,
        header=tuple(header),
        rule_version=mapping.version,
        contract_hash=mapping.table.contract_hash,
    )


def _header(path: Path, mapping: Mapping) -> list[str]:
    with path.open("rb") as file:
        line = file.readline(HEADER_BYTES).removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")
    text = line.decode(mapping.dialect.encoding)
    dialect = mapping.dialect
    return next(csv.reader([text], delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True), [])


def _content(path: Path) -> tuple[str, int]:
    """Hash and number of records (lines but the header) of a file, in one pass over its bytes."""
    digest, lines, last = hashlib.sha256(), 0, b"\n"
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while block := file.read(READ_BYTES):
            digest.update(block)
            lines += block.count(b"\n")
            last = block[-1:]
    return digest.hexdigest(), lines + (last != b"\n") - 1


def _header_problem(header: list[str], mapping: Mapping) -> str:
    wanted = mapping.source_columns
    problems = [f"column {name!r} is missing" for name in sorted(wanted - set(header))]
    problems += [f"column {name!r} is not mapped (map or `ignore` it)" for name in sorted(set(header) - wanted)]
    problems += [f"column {name!r} stands twice" for name in sorted({n for n in header if header.count(n) > 1})]
    return "; ".join(problems)
