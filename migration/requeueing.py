"""Requeue: refused records whose mapping was mended go through the same door, and the plan goes on by the mended rules.

A page of chunks at a time. First each chunk's rows that are good now are appended, in one commit that says so and whose
transaction is the chunk's and the mapping's: repeated, it is a no-op. Then one commit takes them out of the quarantine
and notes the mended mapping at those that stay. A process that dies in between leaves records in both places, never in
none; their old mapping's version brings them here again. What the ledger counts follows the target's log alone, so
`read = good + quarantined + duplicate` holds at each moment. When no record of the old mapping is left, the mended
mapping becomes the plan's. Rows that were good are not touched: verification maps them anew and says what differs.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from collections.abc import Mapping as Keys
from dataclasses import dataclass
from functools import reduce
from itertools import islice

from delta.tables import DeltaTable
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sqlalchemy import update

from migration.chunks import Chunk
from migration.commits import requeue_facts, rules_facts
from migration.copying import STAGE, TRANSACTION, prepare
from migration.fencing import check_fence
from migration.healing import heal, other_rules
from migration.ledger import PAGE
from migration.ledger_schema import CHUNKS, PLANS
from migration.mapping import Mapping
from migration.rows import digest_of, is_good, mapped_rows
from migration.sources.kept import kept_records
from migration.sources.lines import reading_session
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.fingerprints import Fingerprint, aggregates, of_row

log = logging.getLogger(__name__)

REQUEUED = "requeued"


@dataclass(frozen=True, slots=True)
class Requeued:
    """Records that became good, records that are refused again, and whether the plan runs by the mended rules now."""

    good: int = 0
    refused: int = 0
    is_complete: bool = False


def requeue(work: Work, *, chunk_id: str | None = None, reason: str = "") -> Requeued:
    """Map refused records anew, of all chunks or of one; safe to repeat. Settle and verify afterwards.

    In: a ledger that was healed. `reason` is kept in the plan's history and in the commits.
    """
    _check_tables(work)
    prepare(work)
    if chunk_id is not None:
        work.ledger.chunk(work.plan.plan_id, chunk_id)
    good = refused = 0
    for mapping in work.mappings:
        for page in _waiting(work, mapping, chunk_id):
            moved, kept = _requeue_page(work, mapping, page, reason=reason)
            good, refused = good + moved, refused + kept
        if delta.exists(work.lake, mapping.table):
            heal(work, mapping.table, may_mend=True)
    is_complete = not any(page for mapping in work.mappings for page in _waiting(work, mapping, None))
    if is_complete:
        _adopt(work, reason)
    found = Requeued(good, refused, is_complete)
    work.ledger.record_step(
        work.plan.plan_id, REQUEUED, {"good": good, "refused": refused, "complete": is_complete, "reason": reason}
    )
    return found


def _check_tables(work: Work) -> None:
    planned = {row["target"] for row in work.ledger.totals(work.plan.plan_id)}
    filled = {mapping.table.name for mapping in work.mappings}
    if planned != filled:
        raise TerminalError(
            f"plan {work.plan.plan_id} fills {', '.join(sorted(planned))}, the job {', '.join(sorted(filled))}; "
            "a requeue takes mended rules of the same tables only; run `migration plan`"
        )


def _refused(lake: Lake, mapping: Mapping) -> DataFrame:
    """What this mapping has not judged yet of the records that were refused for its table."""
    rows = delta.read(lake, QUARANTINE_ROWS).where((F.col("stage") == STAGE) & (F.col("target") == mapping.table.name))
    return rows.where(F.col("rule_version") != mapping.version)


def _waiting(work: Work, mapping: Mapping, chunk_id: str | None) -> Iterator[list[Chunk]]:
    """The plan's copied chunks that have such records, a page at a time.

    A chunk that is not copied yet may have some too: its copy was killed. They are judged when it is copied.
    """
    if not delta.exists(work.lake, QUARANTINE_ROWS):
        return
    origins = _refused(work.lake, mapping).select("origin").distinct().orderBy("origin").toLocalIterator()
    names = (row["origin"].removeprefix("migration/") for row in origins)
    wanted = (name for name in names if chunk_id in (None, name))
    while page := list(islice(wanted, PAGE)):
        if chunks := [chunk for chunk in work.ledger.named(work.plan.plan_id, page) if chunk.counts is not None]:
            yield chunks


def _requeue_page(work: Work, mapping: Mapping, chunks: list[Chunk], *, reason: str) -> tuple[int, int]:
    """How many records of these chunks became good, and how many are refused again."""
    lake = Lake(reading_session(work.lake.spark), work.lake.root)
    rows = _mapped(work, lake, mapping, chunks).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counted = rows.groupBy("origin").agg(F.count(F.lit(1)).alias("kept"), *aggregates(digest_of(mapping)))
        found = {row["origin"]: (int(row["kept"]), of_row(row)) for row in counted.collect()}
        for chunk in chunks:
            kept, good = found[chunk.origin]
            if _is_to_come(chunk, kept, good):
                facts = requeue_facts(chunk, good, rule_version=mapping.version, run_id=work.run_id, reason=reason)
                coming = rows.where((F.col("origin") == chunk.origin) & is_good())
                _append(work, coming, mapping, once=_transaction(chunk, mapping), facts=facts)
        work.lease.check()
        until_committed(lambda: renew_quarantine(lake, rows, mapping), "renewing the quarantine")
    finally:
        rows.unpersist()
    moved = sum(good.rows for _, good in found.values())
    log.info("requeued %d chunks of %s: %d records became good", len(chunks), mapping.table.name, moved)
    return moved, sum(kept for kept, _ in found.values()) - moved


def _append(work: Work, rows: DataFrame, mapping: Mapping, *, once: Transaction, facts: Keys[str, object]) -> None:
    transaction = Append(work.lake, mapping.table)
    check_fence(work, transaction)
    if transaction.newest(once.app_id) < once.version:
        transaction.write(rows)
        work.lease.check()
        transaction.commit(once, facts=facts)


def _transaction(chunk: Chunk, mapping: Mapping) -> Transaction:
    return Transaction(f"{chunk.origin}/{mapping.version}", TRANSACTION)


def _mapped(work: Work, lake: Lake, mapping: Mapping, chunks: list[Chunk]) -> DataFrame:
    by_layout: dict[object, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        if chunk.contract_hash != mapping.table.contract_hash:
            raise TerminalError(
                f"chunk {chunk.chunk_id} was copied for contract {chunk.contract_hash} of {mapping.table.name}, which "
                f"is now {mapping.table.contract_hash}; use the release that copied it"
            )
        by_layout[chunk.layout].append(chunk)
    parts = []
    for alike in by_layout.values():
        refused = _refused(lake, mapping).where(F.col("origin").isin([chunk.origin for chunk in alike]))
        records = kept_records(refused, mapping, alike, key_file=work.key_file)
        parts.append(
            mapped_rows(records, alike[0].header, mapping, workspace=work.job.workspace, key_file=work.key_file)
        )
    return reduce(DataFrame.unionByName, parts)


def _is_to_come(chunk: Chunk, kept: int, good: Fingerprint) -> bool:
    """False where the target has the rows already: a requeue was killed before it reached the quarantine."""
    assert chunk.counts is not None
    refused = chunk.counts.quarantined
    if refused not in (kept, kept - good.rows):
        raise TerminalError(
            f"chunk {chunk.chunk_id}: the target's log counts {refused} refused records, quarantine holds {kept} of an "
            f"older mapping, of which {good.rows} are good now: a requeue was killed that had another mapping; bring "
            "that one back, run `migration requeue`, then mend it further"
        )
    return bool(good.rows) and refused == kept


def renew_quarantine(lake: Lake, rows: DataFrame, mapping: Mapping) -> None:
    """Take out what is good now, and note at what stays why this mapping refuses it; one commit, safe to repeat.

    In: mapped rows (`rows.mapped_rows`) of refused records.
    """
    days = ", ".join(f"DATE '{day}'" for day in _days(lake, rows, mapping))
    conditions = [
        *(f"old.{name} = '{value}'" for name, value in (("stage", STAGE), ("target", mapping.table.name))),
        # Naming the days keeps commits of other days from being conflicts, and other days from being read.
        f"old.quarantined_date IN ({days})",
        "old.origin = new.origin AND old.block_start = new.block_start AND old.position = new.line",
    ]
    table = DeltaTable.forPath(lake.spark, lake.path_of(QUARANTINE_ROWS)).alias("old")
    judged = rows.select("origin", "block_start", "line", "reason").alias("new")
    merge = table.merge(judged, " AND ".join(conditions)).whenMatchedDelete("new.reason IS NULL")
    merge.whenMatchedUpdate(set={"reason": "new.reason", "rule_version": f"'{mapping.version}'"}).execute()


def _days(lake: Lake, rows: DataFrame, mapping: Mapping) -> list[object]:
    refused = _refused(lake, mapping).join(F.broadcast(rows.select("origin").distinct()), on="origin", how="left_semi")
    return [row["quarantined_date"] for row in refused.select("quarantined_date").distinct().collect()]


def _adopt(work: Work, reason: str) -> None:
    """Make the job's mappings those of the plan: in the targets' logs first, because the ledger heals from them."""
    for mapping in work.mappings:
        if other_rules(work, mapping.table):
            facts = rules_facts(work.plan.plan_id, work.job.name, mapping.version, run_id=work.run_id, reason=reason)
            Append(work.lake, mapping.table).commit(facts=facts)
    plan_id = work.plan.plan_id
    with work.ledger.engine.begin() as connection:
        connection.execute(update(PLANS).where(PLANS.c.plan_id == plan_id).values(job_version=work.job.version))
        for mapping in work.mappings:
            mine = update(CHUNKS).where(CHUNKS.c.plan_id == plan_id, CHUNKS.c.target == mapping.table.name)
            connection.execute(mine.values(rule_version=mapping.version))
            written = mine.where(CHUNKS.c.written_by != "")
            connection.execute(written.values(written_by=mapping.version))
