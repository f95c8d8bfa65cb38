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
from functools import partial, reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sqlalchemy import update

from migration.chunks import Chunk, ChunkState
from migration.commits import QUARANTINE, requeue_facts, rules_facts
from migration.conversions import type_problem
from migration.copying import prepare
from migration.fencing import check_fence
from migration.healing import heal, other_rules
from migration.holding import changing
from migration.ledger_schema import CHUNKS, PLANS
from migration.mapping import Mapping, header_problem
from migration.quarantining import TRANSACTION, kept, origins_in
from migration.reading import mapped, rows_at
from migration.rows import digest_of, is_good
from migration.sources.kept import is_kept, kept_records
from migration.sources.lines import reading_session
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import TerminalError
from spark_jobs.protection.tombstones import ERASED
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.fingerprints import Fingerprint, aggregates, of_row

log = logging.getLogger(__name__)

REQUEUED = "requeued"
_TO_COPY = (ChunkState.PLANNED, ChunkState.COPYING)
_RECORD = ["origin", "block_start", "position"]  # what tells a refused record from the others


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
            moved, again = _requeue_page(work, mapping, page, reason=reason)
            good, refused = good + moved, refused + again
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


def _refused(lake: Lake, mapping: Mapping, *, version: int | None = None) -> DataFrame:
    """What this mapping has not judged yet of the records that were refused for its table."""
    older = kept(lake, mapping.table, version=version).where(F.col("rule_version") != mapping.version)
    # Of records that erasure refused, or whose bytes it took, there is nothing to judge anew.
    judged = older.where(F.col("reason") != ERASED)
    return judged.where(F.col("sealed").isNotNull()) if is_kept(mapping) else judged


def _waiting(work: Work, mapping: Mapping, chunk_id: str | None) -> Iterator[list[Chunk]]:
    """The plan's copied chunks that have such records, a page at a time.

    A chunk that is not copied, or not copied again, may have some too. They are judged when it is copied.
    """
    if not delta.exists(work.lake, QUARANTINE_ROWS):
        return
    for page in origins_in(_refused(work.lake, mapping)):
        named = work.ledger.named(work.plan.plan_id, [name for name in page if chunk_id in (None, name)])
        if chunks := [one for one in named if one.counts is not None and one.state not in _TO_COPY]:
            yield chunks


def _requeue_page(work: Work, mapping: Mapping, chunks: list[Chunk], *, reason: str) -> tuple[int, int]:
    """How many records of these chunks became good, and how many are refused again."""
    lake = Lake(reading_session(work.lake.spark), work.lake.root)
    rows = _mapped(work, lake, mapping, chunks).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counted = rows.groupBy("origin").agg(F.count(F.lit(1)).alias("kept"), *aggregates(digest_of(mapping)))
        found = {row["origin"]: (int(row["kept"]), of_row(row)) for row in counted.collect()}
        _check_found(_refused(lake, mapping), chunks, {origin: held for origin, (held, _) in found.items()})
        for chunk in chunks:
            held, good = found[chunk.origin]
            if _is_to_come(chunk, held, good):
                facts = requeue_facts(chunk, good, rule_version=mapping.version, run_id=work.run_id, reason=reason)
                coming = rows.where((F.col("origin") == chunk.origin) & is_good())
                append = partial(_append, work, coming, mapping, once=_transaction(chunk, mapping), facts=facts)
                until_committed(append, f"requeueing {chunk.chunk_id}")
        work.lease.check()
        until_committed(lambda: renew_quarantine(work, lake, rows, mapping), "renewing the quarantine")
    finally:
        rows.unpersist()
    moved = sum(good.rows for _, good in found.values())
    log.info("requeued %d chunks of %s: %d records became good", len(chunks), mapping.table.name, moved)
    return moved, sum(held for held, _ in found.values()) - moved


def _append(work: Work, rows: DataFrame, mapping: Mapping, *, once: Transaction, facts: Keys[str, object]) -> None:
    with Append(work.lake, mapping.table) as transaction:
        check_fence(work, transaction)
        if transaction.newest(once.app_id) < once.version:
            transaction.write(rows)
            work.lease.check()
            transaction.commit(once, facts=facts)


def _transaction(chunk: Chunk, mapping: Mapping) -> Transaction:
    return Transaction(f"{chunk.origin}/{mapping.version}", TRANSACTION)


def _mapped(work: Work, lake: Lake, mapping: Mapping, chunks: list[Chunk]) -> DataFrame:
    """The refused records of chunks by this mapping: from what is kept of them, or, where that is no record, anew."""
    by_layout: dict[object, list[Chunk]] = defaultdict(list)
    for chunk in chunks:
        if chunk.contract_hash != mapping.table.contract_hash:
            raise TerminalError(
                f"chunk {chunk.chunk_id} was copied for contract {chunk.contract_hash} of {mapping.table.name}, which "
                f"is now {mapping.table.contract_hash}; use the release that copied it"
            )
        if problem := header_problem(chunk.header, mapping) or type_problem(chunk.layout, mapping):
            raise TerminalError(
                f"the mended mapping of {mapping.table.name} does not fit {chunk.source_object} any more: {problem}; "
                "mend the mapping"
            )
        by_layout[chunk.layout].append(chunk)
    return reduce(DataFrame.unionByName, [_alike(work, lake, mapping, alike) for alike in by_layout.values()])


def _alike(work: Work, lake: Lake, mapping: Mapping, chunks: list[Chunk]) -> DataFrame:
    """The same of chunks that have one layout."""
    refused = _refused(lake, mapping).where(F.col("origin").isin([chunk.origin for chunk in chunks]))
    if not is_kept(mapping):
        for chunk in chunks:
            work.source.check_unchanged(chunk)
        places = refused.select("origin", "block_start", F.col("position").alias("line"))
        return rows_at(work, lake.spark, mapping, chunks, places=places)
    records = kept_records(refused, mapping, chunks, key_file=work.key_file)
    return mapped(work, mapping, chunks, records)


def _check_found(refused: DataFrame, chunks: list[Chunk], found: Keys[str, int]) -> None:
    """Refuse to go on where the source has not the records any more that it had when they were refused."""
    counted = refused.where(F.col("origin").isin([chunk.origin for chunk in chunks])).groupBy("origin").count()
    wanted = {row["origin"]: int(row["count"]) for row in counted.collect()}
    for chunk in chunks:
        if found.get(chunk.origin) != wanted[chunk.origin]:
            raise TerminalError(
                f"chunk {chunk.chunk_id}: of {wanted[chunk.origin]} refused records {chunk.source_object} has "
                f"{found.get(chunk.origin, 0)} at their places now: it changed; bring the old mapping back, run "
                f"`migration copy --repair {chunk.chunk_id}`, then mend the mapping again"
            )


def _is_to_come(chunk: Chunk, held: int, good: Fingerprint) -> bool:
    """False where the target has the rows already: a requeue was killed before it reached the quarantine."""
    assert chunk.counts is not None
    refused = chunk.counts.quarantined
    if refused not in (held, held - good.rows):
        raise TerminalError(
            f"chunk {chunk.chunk_id}: the target's log counts {refused} refused records, quarantine holds {held} of an "
            f"older mapping, of which {good.rows} are good now: a requeue was killed that had another mapping; bring "
            "that one back, run `migration requeue`, then mend it further"
        )
    return bool(good.rows) and refused == held


def renew_quarantine(work: Work, lake: Lake, rows: DataFrame, mapping: Mapping) -> None:
    """Take out what is good now, and note at what stays why this mapping refuses it; one commit, safe to repeat.

    In: mapped rows (`rows.mapped_rows`) of refused records.
    """
    with Append(lake, QUARANTINE_ROWS) as transaction:
        check_fence(work, transaction)
        new = rows.select("origin", "block_start", F.col("line").alias("position"), F.col("reason").alias("new_reason"))
        # A record has one place, so this cannot add rows.
        old = _refused(lake, mapping, version=transaction.version).join(new, on=_RECORD, how="inner").persist()
        try:
            # Of persons who were erased since, no bytes are kept.
            sealed = F.when(F.col("new_reason") != ERASED, F.col("sealed"))
            judged = {"reason": F.col("new_reason"), "rule_version": F.lit(mapping.version), "sealed": sealed}
            transaction.write(old.where(F.col("new_reason").isNotNull()).withColumns(judged))
            transaction.take_out(old.select(*_RECORD, *QUARANTINE_ROWS.partition_by), on=_RECORD)
        finally:
            old.unpersist()
        transaction.commit(facts={"kind": QUARANTINE, "run": work.run_id, "rule_version": mapping.version})


def _adopt(work: Work, reason: str) -> None:
    """Make the job's mappings those of the plan: in the targets' logs first, because the ledger heals from them."""
    for mapping in work.mappings:
        if other_rules(work, mapping.table):
            facts = rules_facts(work.plan.plan_id, work.job.name, mapping.version, run_id=work.run_id, reason=reason)
            until_committed(partial(_note, work, mapping, facts), f"noting the rules of {mapping.table.name}")
    plan_id = work.plan.plan_id
    with changing(work.ledger.engine, work.ledger.holder) as connection:
        connection.execute(update(PLANS).where(PLANS.c.plan_id == plan_id).values(job_version=work.job.version))
        for mapping in work.mappings:
            mine = update(CHUNKS).where(CHUNKS.c.plan_id == plan_id, CHUNKS.c.target == mapping.table.name)
            connection.execute(mine.values(rule_version=mapping.version))
            written = mine.where(CHUNKS.c.written_by != "")
            connection.execute(written.values(written_by=mapping.version))


def _note(work: Work, mapping: Mapping, facts: Keys[str, object]) -> None:
    transaction = Append(work.lake, mapping.table)
    check_fence(work, transaction)
    transaction.commit(facts=facts)
