"""What the targets' logs say of chunks. Delta is the truth: whatever the ledger lost or never heard is read from here.

Commits carry facts (userMetadata). A copy: the counts and the fingerprint of one chunk. A settlement: what was taken
out of which chunks because another row with the same key stays. A requeue: which refused rows of a chunk came in by
mended rules. The ledger's numbers are always the copy's minus all settlements' plus all requeues', so taking them over
any number of times, after any crash, ends in the same numbers. A fourth kind, without rows, says that all of a job's
rows count as written by mended rules.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pyspark.sql import Column, DataFrame, DataFrameReader, Row
from pyspark.sql import functions as F

from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import PAGE
from migration.work import Work
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.delta_log import commit_version, log_folder
from spark_jobs.storage.fingerprints import Fingerprint

log = logging.getLogger(__name__)

COPY = "migration.copy"
SETTLE = "migration.settle"
REPAIR = "migration.repair"
REQUEUE = "migration.requeue"
RULES = "migration.rules"

_CHANGE = "commitInfo struct<userMetadata: string>, remove struct<dataChange: boolean>"
_COMMIT = "commitInfo struct<userMetadata: string>"
_FACTS = (
    "kind string, job string, chunk string, rule_version string, contract_hash string, read bigint, "
    "quarantined bigint, duplicate bigint, rows bigint, digest_xor bigint, digest_sum decimal(38,0), "
    "losers map<string, struct<rows: bigint, digest_xor: bigint, digest_sum: decimal(38,0)>>"
)


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


def rules_facts(work: Work, rule_version: str, *, reason: str) -> dict[str, Any]:
    """What the commit carries that makes mended rules the job's: all its rows in the table count as written by them."""
    said = {"kind": RULES, "run": work.run_id, "plan": work.plan.plan_id, "job": work.job.name, "reason": reason}
    return {**said, "rule_version": rule_version}


def _fingerprint_facts(good: Fingerprint) -> dict[str, int]:
    return {"rows": good.rows, "digest_xor": good.digest_xor, "digest_sum": good.digest_sum}


def heal(work: Work, table: Table, *, may_mend: bool = False) -> int:
    """Make the ledger say what the target's log says; how many chunks it had otherwise.

    A log that Delta has cleaned (after 30 days) no longer names old chunks: then the ledger is believed for them.
    `may_mend`: chunks that were copied by another mapping are no reason to stop.
    """
    healed = 0
    if delta.exists(work.lake, table):
        for page in _pages(_chunk_facts(work, table).toLocalIterator()):
            if not may_mend:
                _check_rules(work, page)
            healed += work.ledger.heal(work.plan.plan_id, {row["chunk"]: _counts(row) for row in page}, work.run_id)
    unseen = work.ledger.unseen(work.plan.plan_id, table.name, work.run_id)
    for number, chunk in enumerate(unseen):
        if number == 0 and not _is_log_complete(work.lake, table):
            break
        work.ledger.move(chunk, ChunkState.PLANNED, message="its rows are no longer in the target")
        healed += 1
    if healed:
        log.info("ledger of plan %s healed from %s: %d chunks", work.plan.plan_id, table.name, healed)
    return healed


def has_other_rules(work: Work, table: Table) -> bool:
    """True where the log says that a chunk of the plan was written by another mapping than the job's."""
    return any(_of_other_rules(work, page) for page in _pages(_chunk_facts(work, table).toLocalIterator()))


def changes_since(lake: Lake, table: Table, version: int) -> str:
    """What happened to migrated rows after this version, in words; '' where only appends and compactions did."""
    current = delta.current_version(lake, table)
    if current == version:
        return ""
    log_lines = _log(lake).schema(_CHANGE).json(log_folder(lake, table))
    later = log_lines.select(commit_version().alias("version"), "*").where(
        F.col("version").between(version + 1, current)
    )
    user_metadata = F.coalesce("commitInfo.userMetadata", F.lit(""))
    found = later.agg(
        F.count_distinct("version").alias("commits"),
        F.count_if("remove.dataChange").alias("removed"),
        F.count_if(F.contains(user_metadata, F.lit('"migration.'))).alias("ours"),
    ).collect()[0]
    if found["commits"] != current - version:
        return f"the log holds {found['commits']} of {current - version} commits since"
    changes = {"commits of a migration": found["ours"], "files with rows taken out": found["removed"]}
    return ", ".join(f"{count} {name}" for name, count in changes.items() if count)


def _facts(lake: Lake, table: Table) -> DataFrame:
    """The facts of all our commits that the log still holds, with the version of each."""
    commits = _log(lake).schema(_COMMIT).json(log_folder(lake, table))
    text = F.col("commitInfo.userMetadata")
    ours = commits.select(commit_version().alias("version"), text.alias("text")).where(
        F.contains("text", F.lit('"migration.'))
    )
    facts = ours.select("version", F.from_json("text", _FACTS).alias("facts")).select("version", "facts.*")
    return facts.where(F.col("kind").isin(COPY, REPAIR, SETTLE, REQUEUE, RULES))


def _log(lake: Lake) -> DataFrameReader:
    return lake.spark.read.option("pathGlobFilter", "*.json")


def _chunk_facts(work: Work, table: Table) -> DataFrame:
    """One row per chunk: its newest copy or repair, what later commits changed of it, and its newest rule_version."""
    facts = _facts(work.lake, table)
    names = ("contract_hash", "read", "quarantined", "duplicate", "rows", "digest_xor", "digest_sum")
    copies = facts.where(F.col("kind").isin(COPY, REPAIR)).groupBy("chunk")
    newest = copies.agg(F.max_by(F.struct("version", *names), F.col("version")).alias("copy"), _newest_rules("copied"))
    # A chunk has one newest copy, so each change meets one row at most.
    changes = newest.join(_changes(facts), on="chunk", how="inner").where(F.col("version") > F.col("copy.version"))
    sums = changes.groupBy("chunk").agg(
        F.sum("rows").alias("left_rows"),
        F.bit_xor("digest_xor").alias("left_xor"),
        F.sum("digest_sum").alias("left_sum"),
        F.sum("requeued").alias("requeued"),
        _newest_rules("mended"),
    )
    adopted = facts.where((F.col("kind") == RULES) & (F.col("job") == work.job.name)).agg(_newest_rules("adopted"))
    rules = F.greatest("copied", "mended", "adopted").getField("rule_version").alias("rule_version")
    joined = newest.join(sums, on="chunk", how="left").crossJoin(adopted)  # one row
    return joined.select("chunk", "copy.*", "left_rows", "left_xor", "left_sum", "requeued", rules)


def _changes(facts: DataFrame) -> DataFrame:
    """What commits after the copy took out of a chunk; what a requeue brought in left with a minus."""
    losers = facts.where(F.col("kind") == SETTLE).select("version", F.explode("losers").alias("chunk", "lost"))
    none, unknown = F.lit(0).cast("bigint").alias("requeued"), F.lit(None).cast("string").alias("rule_version")
    settled = losers.select("chunk", "version", "lost.*", none, unknown)
    rows, total = (-F.col("rows")).alias("rows"), (-F.col("digest_sum")).alias("digest_sum")
    requeued = F.col("rows").alias("requeued")
    came = facts.where(F.col("kind") == REQUEUE)
    return settled.union(came.select("chunk", "version", rows, "digest_xor", total, requeued, "rule_version"))


def _newest_rules(name: str) -> Column:
    rules = F.struct("version", "rule_version")
    return F.max(F.when(F.col("rule_version").isNotNull(), rules)).alias(name)


def _counts(row: Row) -> Counts:
    copied = Fingerprint(row["rows"], row["digest_xor"], int(row["digest_sum"]))
    left = Fingerprint(row["left_rows"] or 0, row["left_xor"] or 0, int(row["left_sum"] or 0))
    requeued = row["requeued"] or 0
    settled = left.rows + requeued
    return Counts(row["read"], row["quarantined"] - requeued, row["duplicate"] + settled, copied - left)


def _check_rules(work: Work, page: list[Row]) -> None:
    """Refuse a chunk that was copied by another mapping: its transaction would keep the new rows out in silence."""
    if others := _of_other_rules(work, page):
        raise TerminalError(
            f"chunk {others[0]['chunk']} was copied with mapping version {others[0]['rule_version']}, the job has "
            "another one; bring the old mapping back, or, where it was mended for refused rows, run `migration requeue`"
        )


def _of_other_rules(work: Work, page: list[Row]) -> list[Row]:
    """The chunks of the plan that were written by another mapping than the job's."""
    version = {mapping.table.name: mapping.version for mapping in work.job.mappings}
    rows = {row["chunk"]: row for row in page if row["rule_version"] != version.get(row["chunk"].split("/")[0])}
    return [rows[chunk.chunk_id] for chunk in work.ledger.named(work.plan.plan_id, rows)]


def _is_log_complete(lake: Lake, table: Table) -> bool:
    """True where Delta has not cleaned the log yet, or there is no table at all."""
    if not delta.exists(lake, table):
        return True
    first = _log(lake).text(log_folder(lake, table)).select("_metadata.file_name")
    return bool(first.agg(F.min("file_name").alias("name")).collect()[0]["name"] == f"{0:020d}.json")


def _pages(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while page := list(islice(rows, PAGE)):
        yield page
