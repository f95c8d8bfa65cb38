"""What the targets' logs say of chunks. Delta is the truth: whatever the ledger lost or never heard is read from here.

Two kinds of commits carry facts (userMetadata). A copy: the counts and the fingerprint of one chunk. A settlement: what
was taken out of which chunks because another row with the same key stays. The ledger's numbers are always the copy's
minus all settlements', so taking them over any number of times, after any crash, ends in the same numbers.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pyspark.sql import DataFrame, DataFrameReader, Row
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

_CHANGE = "commitInfo struct<userMetadata: string>, remove struct<dataChange: boolean>"
_COMMIT = "commitInfo struct<userMetadata: string>"
_FACTS = (
    "kind string, chunk string, rule_version string, contract_hash string, read bigint, quarantined bigint, "
    "duplicate bigint, rows bigint, digest_xor bigint, digest_sum decimal(38,0), "
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


def _fingerprint_facts(good: Fingerprint) -> dict[str, int]:
    return {"rows": good.rows, "digest_xor": good.digest_xor, "digest_sum": good.digest_sum}


def heal(work: Work, table: Table) -> int:
    """Make the ledger say what the target's log says; how many chunks it had otherwise.

    A log that Delta has cleaned (after 30 days) no longer names old chunks: then the ledger is believed for them.
    """
    healed = 0
    if delta.exists(work.lake, table):
        facts = _chunk_facts(_facts(work.lake, table))
        for page in _pages(facts.toLocalIterator()):
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
    return facts.where(F.col("kind").isin(COPY, REPAIR, SETTLE))


def _log(lake: Lake) -> DataFrameReader:
    return lake.spark.read.option("pathGlobFilter", "*.json")


def _chunk_facts(facts: DataFrame) -> DataFrame:
    """One row per chunk: its newest copy or repair, and what the settlements after that took out."""
    names = ("rule_version", "contract_hash", "read", "quarantined", "duplicate", "rows", "digest_xor", "digest_sum")
    copies = facts.where(F.col("kind") != SETTLE).groupBy("chunk")
    newest = copies.agg(F.max_by(F.struct("version", *names), F.col("version")).alias("copy"))
    settled = facts.where(F.col("kind") == SETTLE)
    losers = settled.select(F.col("version").alias("settled_at"), F.explode("losers").alias("chunk", "taken"))
    is_later = F.col("settled_at") > F.col("copy.version")
    # A chunk has one newest copy, so each loser's entry meets one row at most.
    taken = newest.join(losers, on="chunk", how="inner").where(is_later).groupBy("chunk")
    sums = taken.agg(
        F.sum("taken.rows").alias("taken_rows"),
        F.bit_xor("taken.digest_xor").alias("taken_xor"),
        F.sum("taken.digest_sum").alias("taken_sum"),
    )
    return newest.join(sums, on="chunk", how="left").select("chunk", "copy.*", "taken_rows", "taken_xor", "taken_sum")


def _counts(row: Row) -> Counts:
    copied = Fingerprint(row["rows"], row["digest_xor"], int(row["digest_sum"]))
    taken = Fingerprint(row["taken_rows"] or 0, row["taken_xor"] or 0, int(row["taken_sum"] or 0))
    return Counts(row["read"], row["quarantined"], row["duplicate"] + taken.rows, copied - taken)


def _check_rules(work: Work, page: list[Row]) -> None:
    """Refuse a chunk that was copied by another mapping: its transaction would keep the new rows out in silence."""
    version = {mapping.table.name: mapping.version for mapping in work.job.mappings}
    for row in page:
        wanted = version.get(row["chunk"].split("/")[0])
        if wanted and row["rule_version"] != wanted and _is_planned(work, row["chunk"]):
            raise TerminalError(
                f"chunk {row['chunk']} was copied with mapping version {row['rule_version']}, the job has {wanted}; "
                "bring the old mapping back, or write the new one's rows with `migration copy --repair CHUNK`"
            )


def _is_planned(work: Work, chunk_id: str) -> bool:
    return any(chunk_id == chunk.chunk_id for chunk in work.ledger.chunks(work.plan.plan_id))


def _is_log_complete(lake: Lake, table: Table) -> bool:
    """True where Delta has not cleaned the log yet, or there is no table at all."""
    if not delta.exists(lake, table):
        return True
    first = _log(lake).text(log_folder(lake, table)).select("_metadata.file_name")
    return bool(first.agg(F.min("file_name").alias("name")).collect()[0]["name"] == f"{0:020d}.json")


def _pages(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while page := list(islice(rows, PAGE)):
        yield page
