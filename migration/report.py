"""What an auditor keeps of a migration: one page (HTML), the same as JSON, and a list of all chunks (CSV).

All of it comes from the ledger: neither Spark nor the source is needed. Chunks are read a page at a time.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from migration.choosing import known_plan
from migration.chunks import Chunk, ChunkState
from migration.history import NOT_VERIFIED, RAN, SUCCEEDED, VERIFIED, person, verifications
from migration.jobfile import load_job
from migration.ledger import IN_TARGET, Ledger, Plan, Step, now, open_ledger
from migration.ledger_schema import NEWEST
from migration.overview import overview, refusals, targets
from migration.report_page import page
from migration.versions import versions
from spark_jobs.settings import Settings, load
from spark_jobs.storage.fingerprints import EMPTY, Fingerprint

# 1: without chunk list, verdict, durations, versions; `tables` with rows and fingerprint alone.
FORMAT = 2
MOST_REASONS = 1_000
MOST_RED = 1_000
COLUMNS = (
    *("chunk_id", "target", "source_object", "part", "bytes", "modified_at", "sha256", "records", "state"),
    *("read", "good", "quarantined", "duplicate", "digest_xor", "digest_sum"),
    *("mapping_version", "contract_hash", "message"),
)
PROVED, PARTLY, RED, OPEN = "proved", "partly", "red", "open"


@dataclass(slots=True)
class TableTotals:
    """What the chunks of one table add up to; more than one version where the mapping was mended on the way."""

    chunks: int = 0
    good: Fingerprint = EMPTY
    mapping_versions: set[str] = field(default_factory=set)
    contract_hashes: set[str] = field(default_factory=set)


def write_report(ledger: Ledger, plan: Plan, folder: Path) -> dict[str, str]:
    """Write the three files, each whole or not at all; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / f"migration-{plan.plan_id}"
    chunks = base.with_name(f"{base.name}-chunks.csv")
    listed, totals = _write_chunks(ledger.chunks(plan.plan_id), chunks)
    report = final_report(ledger, plan, totals, listed)
    text = json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    files = {
        "report": _write_whole(base.with_suffix(".json"), text),
        "page": _write_whole(base.with_suffix(".html"), page(report)),
        "chunk_list": chunks,
    }
    return {name: str(path) for name, path in files.items()}


def make(args: argparse.Namespace) -> dict[str, Any]:
    """The verb: report what the ledger holds of a plan now; no Spark, no lease. The paths that were written."""
    settings = load(args.settings)
    with open_ledger(settings.ledger_url) as ledger:
        plan = known_plan(args, load_job(Path(args.job), source=args.source), ledger, settings)
        return {"plan": plan.plan_id, **write_report(ledger, plan, folder_of(args, settings))}


def folder_of(args: argparse.Namespace, settings: Settings) -> Path:
    """Where reports of this call belong."""
    return Path(args.report) if args.report else report_folder(settings.storage_root)


def report_folder(storage_root: str) -> Path:
    """The data directory, where the storage root is local; the working directory otherwise."""
    is_remote = "://" in storage_root and not storage_root.startswith("file:")
    return Path() if is_remote else Path(storage_root.removeprefix("file://")).parent / "migration"


def final_report(
    ledger: Ledger, plan: Plan, totals: Mapping[str, TableTotals], listed: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole migration as JSON can hold it; `listed` says where its chunks stand one by one."""
    found, steps = overview(ledger, plan, most=MOST_RED), ledger.steps(plan.plan_id)
    newest = verifications(steps)
    tables = [_table(one, totals[one["target"]], newest.get(one["target"])) for one in targets(found["tables"])]
    quarantine = refusals(ledger, plan.plan_id, most=MOST_REASONS)
    return {
        "format": FORMAT,
        "made_at": now(),
        "made_by": person(),
        "verdict": verdict(tables, refused=found["not_taken"]["refused"]),
        "plan": {name: found[name] for name in ("plan", "job", "created_at", "tables", "last_step")},
        "job_version": plan.job_version,
        "source": plan.source,
        "tables": tables,
        "not_taken": found["not_taken"],
        "seam": found["seam"],
        "quarantine": [
            {"target": one["target"], "reason": one["reason"], "rows": one["records"]} for one in quarantine["shown"]
        ],
        "quarantine_counted_at": quarantine["counted_at"],
        "red": found["red"],
        "durations": durations(steps),
        "versions": {**versions(), "ledger": NEWEST},
        "chunks": dict(listed),
        "steps": [{**step.facts, "name": step.name, "at": step.at} for step in steps],
    }


def verdict(tables: Sequence[Mapping[str, Any]], *, refused: int = 0) -> str:
    """What was shown of the plan; `refused`: objects of the source that it did not take.

    `proved`: the newest verification of each table is green, its chunks are verified and no record is without a place;
    `partly`: that holds, of a plan that refused objects; `red`: a verification or a chunk failed; `open`: not all
    is done yet.
    """
    states = [state for one in tables for state, chunks in one["states"].items() if chunks]
    ends = [one["verification"] and one["verification"]["name"] for one in tables]
    is_red = str(ChunkState.FAILED) in states or NOT_VERIFIED in ends
    if is_red or not all(one["is_conserved"] for one in tables):
        return RED
    if not states or {*states} != {str(ChunkState.VERIFIED)} or {*ends} != {VERIFIED}:
        return OPEN
    return PARTLY if refused else PROVED


def durations(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """By verb: how often it ran and succeeded, and how many seconds it took in all; the order is that of first runs."""
    found: dict[str, dict[str, Any]] = {}
    for step in steps:
        if step.name.startswith(f"{RAN} "):
            verb = step.name.removeprefix(f"{RAN} ")
            one = found.setdefault(verb, {"verb": verb, "runs": 0, "succeeded": 0, "seconds": 0.0})
            one["runs"] += 1
            one["succeeded"] += step.facts["state"] == SUCCEEDED
            one["seconds"] = round(one["seconds"] + step.facts["seconds"], 1)
    return list(found.values())


def _table(one: Mapping[str, Any], total: TableTotals, newest: Step | None) -> dict[str, Any]:
    is_copied = sum(one["states"].get(str(state), 0) for state in IN_TARGET) == one["chunks"]
    placed = one["good"] + one["quarantined"] + one["duplicate"]
    return {
        "table": one["target"],
        "chunks": one["chunks"],
        "states": one["states"],
        "source": {"objects": one["chunks"], "bytes": one["bytes"], "records": one["records"]},
        "target": {name: one[name] for name in ("read", "good", "quarantined", "duplicate")},
        "is_conserved": one["read"] == placed and (one["read"] == one["records"] or not is_copied),
        "rows": total.good.rows,
        "digest_xor": total.good.digest_xor,
        "digest_sum": str(total.good.digest_sum),
        "contract_hash": " ".join(sorted(total.contract_hashes)),
        "mapping_version": " ".join(sorted(total.mapping_versions)),
        "verification": newest and {"name": newest.name, "at": newest.at},
        "verified": {**newest.facts, "at": newest.at} if newest and newest.name == VERIFIED else None,
    }


def _write_chunks(chunks: Iterable[Chunk], path: Path) -> tuple[dict[str, Any], dict[str, TableTotals]]:
    totals: dict[str, TableTotals] = defaultdict(TableTotals)
    rows = 0
    partial = path.with_suffix(".partial")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for chunk in chunks:
            writer.writerow(_values(chunk))
            _add(totals[chunk.target], chunk)
            rows += 1
    with partial.open("rb") as written:
        sha256 = _sha256(written)
    partial.replace(path)
    return {"file": path.name, "rows": rows, "sha256": sha256}, totals


def _sha256(file: IO[bytes]) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type] # its stubs want more than it needs


def _add(total: TableTotals, chunk: Chunk) -> None:
    total.chunks += 1
    total.good += chunk.counts.good if chunk.counts else EMPTY
    total.mapping_versions.add(chunk.rule_version)
    total.contract_hashes.add(chunk.contract_hash)


def _values(chunk: Chunk) -> Iterator[object]:
    counts = chunk.counts
    modified_at = datetime.fromtimestamp(chunk.mtime_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    yield from (chunk.chunk_id, chunk.target, chunk.source_object, chunk.part, chunk.bytes, modified_at, chunk.sha256)
    yield from (chunk.records, str(chunk.state))
    if counts:
        yield from (counts.read, counts.good.rows, counts.quarantined, counts.duplicate)
        yield from (counts.good.digest_xor, counts.good.digest_sum)
    else:
        yield from [""] * 6
    yield from (chunk.rule_version, chunk.contract_hash, chunk.message)


def _write_whole(path: Path, text: str) -> Path:
    partial = path.with_suffix(".partial")
    partial.write_text(text, encoding="utf-8")
    return partial.replace(path)
