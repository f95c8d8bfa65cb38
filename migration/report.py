"""What an auditor keeps: totals and fingerprints by table, refusals by reason, versions, every step with its time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from migration.copying import STAGE
from migration.overview import overview
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.storage import delta
from spark_jobs.storage.fingerprints import EMPTY

FORMAT = 1


def final_report(work: Work) -> dict[str, Any]:
    """The whole migration as JSON can hold it; chunks one by one stand in `migration.chunks`."""
    return {
        "format": FORMAT,
        "plan": _plan(work),
        "job_version": work.plan.job_version,
        "source": work.plan.source,
        "tables": list(_tables(work)),
        "quarantine": _quarantine(work),
        "steps": [{"name": step.name, "at": step.at, **step.facts} for step in work.ledger.steps(work.plan.plan_id)],
    }


def write_report(report: dict[str, Any], folder: Path) -> Path:
    """Write the report whole or not at all; its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"migration-{report['plan']['plan']}.json"
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(report, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return partial.replace(path)


def report_folder(storage_root: str) -> Path:
    """The data directory, where the storage root is local; the working directory otherwise."""
    is_remote = "://" in storage_root and not storage_root.startswith("file:")
    return Path() if is_remote else Path(storage_root.removeprefix("file://")).parent / "migration"


def _plan(work: Work) -> dict[str, Any]:
    found = overview(work.ledger, work.plan)
    return {name: found[name] for name in ("plan", "job", "created_at", "tables", "last_step")}


def _tables(work: Work) -> Iterator[dict[str, Any]]:
    for mapping in work.mappings:
        total, chunks = EMPTY, 0
        for chunk in work.ledger.chunks(work.plan.plan_id, target=mapping.table.name):
            total, chunks = total + (chunk.counts.good if chunk.counts else EMPTY), chunks + 1
        yield {
            "table": mapping.table.name,
            "chunks": chunks,
            "rows": total.rows,
            "digest_xor": total.digest_xor,
            "digest_sum": str(total.digest_sum),
            "contract_hash": mapping.table.contract_hash,
            "mapping_version": mapping.version,
        }


def _quarantine(work: Work) -> list[dict[str, Any]]:
    if not delta.exists(work.lake, QUARANTINE_ROWS):
        return []
    refused = delta.read(work.lake, QUARANTINE_ROWS).where(F.col("stage") == STAGE)
    reasons = refused.groupBy("target", "reason").agg(F.count("sealed").alias("rows")).orderBy("target", "reason")
    return [row.asDict() for row in reasons.collect()]
