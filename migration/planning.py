"""Planning: which files are taken, exactly as they are now, and which are not, with the reason."""

from __future__ import annotations

import codecs
import csv
import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from migration.chunks import Chunk, chunk_id_of
from migration.documents import version_of
from migration.folders import Folder, Version, matches
from migration.jobfile import Job
from migration.ledger import Ledger, Plan, now
from migration.mapping import Mapping
from spark_jobs.errors import TerminalError

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


def draft_plan(job: Job, ledger: Ledger, folder: Folder) -> Draft:
    """Look at every file of the job's folder once; nothing is stored. TerminalError where the folder is no folder."""
    names = folder.names()
    found = _named_by(job, names)
    with ThreadPoolExecutor(READERS) as readers:
        looked = list(readers.map(lambda pair: _look_at(folder, *pair), found))
    chunks = [chunk for chunk in looked if isinstance(chunk, Chunk)]
    refused = [entry for entry in looked if isinstance(entry, Refused)]
    refused += [Refused(mapping.files, "no file has such a name") for mapping in _without_files(job, found)]
    refused += _changed_since(chunks, ledger)
    plan_id = version_of([job.name, job.version, sorted(chunk.chunk_id for chunk in chunks)])
    named = {name for name, _ in found}
    return Draft(
        plan=Plan(plan_id, job.name, job.version, folder.address, now()),
        chunks=tuple(replace(chunk, plan_id=plan_id) for chunk in sorted(chunks, key=lambda chunk: chunk.chunk_id)),
        refused=tuple(refused),
        unnamed=tuple(name for name in names if name not in named),
    )


def check_unchanged(chunk: Chunk, folder: Folder) -> None:
    """Raise TerminalError where the chunk's file is no longer the one that was planned."""
    path = f"{folder.address}/{chunk.source_object}"
    try:
        found = folder.version(chunk.source_object)
    except OSError as error:
        raise TerminalError(f"{path} cannot be read: {error.strerror}; put the planned file back") from error
    if found != Version(chunk.bytes, chunk.mtime_ns):
        raise TerminalError(
            f"{path} changed after it was planned: {found.bytes} bytes of {_moment(found.mtime_ns)}, planned "
            f"{chunk.bytes} bytes of {_moment(chunk.mtime_ns)}; put that file back, or run `migration plan` again"
        )


def _moment(mtime_ns: int) -> str:
    return datetime.fromtimestamp(mtime_ns / 1e9, UTC).isoformat(timespec="milliseconds")


def _named_by(job: Job, names: list[str]) -> list[tuple[str, Mapping]]:
    return [(name, mapping) for mapping in job.mappings for name in names if matches(name, mapping.files)]


def _without_files(job: Job, found: list[tuple[str, Mapping]]) -> list[Mapping]:
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


def _look_at(folder: Folder, name: str, mapping: Mapping) -> Chunk | Refused:
    try:
        before = folder.version(name)
        first_line, sha256, records = _content(folder, name)
        header = _header(first_line, mapping)
        after = folder.version(name)
    except OSError as error:
        return Refused(name, f"cannot be read: {error.strerror}")
    except (UnicodeDecodeError, csv.Error) as error:
        return Refused(name, f"its first line is no header in {mapping.dialect.encoding}: {type(error).__name__}")
    reason = _header_problem(header, mapping)
    if before != after:
        reason = "it changed while it was read; plan again when it is complete"
    if reason:
        return Refused(name, reason)
    return Chunk(
        plan_id="",
        chunk_id=chunk_id_of(mapping.table.name, name, sha256),
        target=mapping.table.name,
        source_object=name,
        bytes=before.bytes,
        mtime_ns=before.mtime_ns,
        sha256=sha256,
        records=records,
        header=tuple(header),
        rule_version=mapping.version,
        contract_hash=mapping.table.contract_hash,
    )


def _header(first_line: bytes, mapping: Mapping) -> list[str]:
    text = first_line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n").decode(mapping.dialect.encoding)
    dialect = mapping.dialect
    return next(csv.reader([text], delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True), [])


def _content(folder: Folder, name: str) -> tuple[bytes, str, int]:
    """First line, hash and number of records (lines but the first) of a file, in one pass over its bytes."""
    digest, lines, last, first = hashlib.sha256(), 0, b"\n", b""
    for block in folder.blocks(name):
        digest.update(block)
        if lines == 0 and len(first) < HEADER_BYTES:
            first += block[: HEADER_BYTES - len(first)].partition(b"\n")[0]
        lines += block.count(b"\n")
        last = block[-1:]
    return first, digest.hexdigest(), lines + (last != b"\n") - 1


def _header_problem(header: list[str], mapping: Mapping) -> str:
    wanted = mapping.source_columns
    problems = [f"column {name!r} is missing" for name in sorted(wanted - set(header))]
    problems += [f"column {name!r} is not mapped (map or `ignore` it)" for name in sorted(set(header) - wanted)]
    problems += [f"column {name!r} stands twice" for name in sorted({n for n in header if header.count(n) > 1})]
    return "; ".join(problems)
