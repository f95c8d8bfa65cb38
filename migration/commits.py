"""What the targets' logs say of chunks. Delta is the truth: whatever the ledger lost or never heard is read from here.

Commits carry facts (userMetadata). A copy: the counts and the fingerprint of one chunk. A settlement: what was taken
out of which chunks because another row with the same key stays. A requeue: which refused rows of a chunk came in by
mended rules. The ledger's numbers are always the newest copy's with all changes after it (`healing`). A fourth kind,
without rows, says that all of a job's rows count as written by mended rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from migration.chunks import Chunk, Counts
from spark_jobs.contracts.schema import Table
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.delta_log import commit_version, log_files, log_folder
from spark_jobs.storage.fingerprints import Fingerprint

COPY = "migration.copy"
SETTLE = "migration.settle"
REPAIR = "migration.repair"
REQUEUE = "migration.requeue"
RULES = "migration.rules"
QUARANTINE = "migration.quarantine"
FENCE = "migration.fence"
DERIVE = "migration.derive"

_COMMIT = "commitInfo struct<userMetadata: string, txnId: string>"
_CHANGE = "commitInfo struct<operation: string, userMetadata: string>, remove struct<dataChange: boolean>"


def copy_facts(chunk: Chunk, counts: Counts, *, run_id: str, kind: str = COPY) -> dict[str, Any]:
    """What the commit of a chunk's rows carries."""
    return {
        "kind": kind,
        "run": run_id,
        "plan": chunk.plan_id,
        "chunk": chunk.chunk_id,
        "rule_version": chunk.rule_version,
        "contract_hash": chunk.contract_hash,
        "read": counts.read,
        "quarantined": counts.quarantined,
        "duplicate": counts.duplicate,
        **_fingerprint_facts(counts.good),
    }


def settle_facts(losers: Mapping[str, Fingerprint], *, live: int, run_id: str) -> dict[str, Any]:
    """What the commit of a settlement carries: the fingerprint of what left each chunk, and how many live rows."""
    by_chunk = {chunk_id: _fingerprint_facts(taken) for chunk_id, taken in losers.items()}
    return {"kind": SETTLE, "run": run_id, "live": live, "losers": by_chunk}


def requeue_facts(chunk: Chunk, moved: Fingerprint, *, rule_version: str, run_id: str, reason: str) -> dict[str, Any]:
    """What the commit of a chunk's requeued rows carries: how many left the quarantine for the target, and which."""
    said = {"kind": REQUEUE, "run": run_id, "plan": chunk.plan_id, "chunk": chunk.chunk_id, "reason": reason}
    return {**said, "rule_version": rule_version, "contract_hash": chunk.contract_hash, **_fingerprint_facts(moved)}


def rules_facts(plan_id: str, job: str, rule_version: str, *, run_id: str, reason: str) -> dict[str, Any]:
    """What the commit carries that makes mended rules the job's: all its rows in the table count as written by them."""
    said = {"kind": RULES, "run": run_id, "plan": plan_id, "job": job, "reason": reason}
    return {**said, "rule_version": rule_version}


def derive_facts(plan_id: str, job: str, rows: Mapping[str, int], *, run_id: str) -> dict[str, Any]:
    """What a commit of derived rows carries: how many came, were written anew, and left."""
    return {"kind": DERIVE, "run": run_id, "plan": plan_id, "job": job, **rows}


def _fingerprint_facts(good: Fingerprint) -> dict[str, int]:
    return {"rows": good.rows, "digest_xor": good.digest_xor, "digest_sum": good.digest_sum}


def changes_since(lake: Lake, table: Table, version: int) -> str:
    """What happened to rows after this version, in words; '' where there were only live appends and compactions."""
    current = delta.current_version(lake, table)
    if current == version:
        return ""
    later = _after(lake, table, version, current)
    kind = F.get_json_object("commitInfo.userMetadata", "$.kind")
    is_ours = F.startswith(kind, F.lit("migration.")) & ~kind.isin(FENCE, RULES)  # these two change no row
    found = later.agg(
        F.count_distinct("version").alias("commits"),
        F.count_if("remove.dataChange").alias("removed"),
        F.count_if(is_ours).alias("ours"),
        F.count_if(F.col("commitInfo.operation") == "MERGE").alias("merged"),  # one that only adds takes nothing out
    ).collect()[0]
    if found["commits"] != current - version:
        return f"the log holds {found['commits']} of {current - version} commits since"
    changes = {"commits of a migration": found["ours"], "merges": found["merged"]}
    changes |= {"files with rows taken out": found["removed"]}
    return ", ".join(f"{count} {name}" for name, count in changes.items() if count)


def removals_since(lake: Lake, table: Table, version: int, *, besides: str) -> int:
    """How many files with rows others than the run `besides` took out after this version; compactions take none."""
    current = delta.current_version(lake, table)
    if current == version:
        return 0
    facts = F.max("commitInfo.userMetadata")
    commits = _after(lake, table, version, current).groupBy("version")
    found = commits.agg(
        F.count_if("remove.dataChange").alias("removed"), F.get_json_object(facts, "$.run").alias("run")
    )
    by_others = found.where(~F.col("run").eqNullSafe(F.lit(besides)))
    return int(by_others.agg(F.coalesce(F.sum("removed"), F.lit(0))).collect()[0][0])


def _after(lake: Lake, table: Table, version: int, current: int) -> DataFrame:
    return _commits(lake, table, range(max(version + 1, first_version(lake, table)), current + 1), _CHANGE)


def facts_in(lake: Lake, table: Table, versions: range) -> Iterator[tuple[int, dict[str, Any]]]:
    """Version and facts of our commits among these, which the log must have; oldest first.

    They are read on the driver: ask for some thousands of versions at a time.
    """
    lines = _commits(lake, table, versions, _COMMIT)
    text = F.col("commitInfo.userMetadata")
    ours = lines.where(F.contains(text, F.lit('"migration.'))).select("version", text.alias("text"))
    for row in ours.orderBy("version").collect():
        yield int(row["version"]), json.loads(row["text"])


def fingerprint_of(facts: Mapping[str, Any]) -> Fingerprint:
    """The fingerprint in the facts of a copy, or of what left a chunk."""
    return Fingerprint(facts["rows"], facts["digest_xor"], facts["digest_sum"])


def counts_of(facts: Mapping[str, Any]) -> Counts:
    """The counts in the facts of a copy."""
    return Counts(facts["read"], facts["quarantined"], facts["duplicate"], fingerprint_of(facts))


def first_version(lake: Lake, table: Table) -> int:
    """The oldest commit that the log has; Delta cleans it after 30 days."""
    commits = [name for name, _ in log_files(lake, table) if name.endswith(".json") and name[:20].isdigit()]
    return min(int(name[:20]) for name in commits)


def transaction_id(lake: Lake, table: Table, version: int) -> str | None:
    """What tells a commit from another of the same version, in a table that was restored; None where it has none."""
    found = _commits(lake, table, range(version, version + 1), _COMMIT).select("commitInfo.txnId")
    return next((row[0] for row in found.where("txnId IS NOT NULL").collect()), None)


def _commits(lake: Lake, table: Table, versions: range, schema: str) -> DataFrame:
    """The lines of these commits: version and the schema's columns."""
    paths = [f"{log_folder(lake, table)}/{version:020d}.json" for version in versions]
    if not paths:
        return lake.spark.createDataFrame([], f"version bigint, {schema}")
    return lake.spark.read.schema(schema).json(paths).select(commit_version().alias("version"), "*")
