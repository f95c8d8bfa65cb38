"""Healing: the ledger learns from the targets' logs what it lost, or never heard because a process was killed.

The ledger remembers up to which commit it has heard of everything. From there the commits are replayed in their order,
some at a time, each time in one transaction with that memory: so the same commits, heard of again after any crash,
leave the same numbers, and a verb costs what happened since the last one. A table that was restored from a backup, or
made anew, is noticed by the id of the commit that was remembered; then everything is replayed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from pyspark.sql import functions as F

from migration import marks
from migration.chunks import Chunk, ChunkState, Counts
from migration.commits import (
    COPY,
    REPAIR,
    REQUEUE,
    RULES,
    SETTLE,
    counts_of,
    facts_in,
    fingerprint_of,
    first_version,
    transaction_id,
)
from migration.ledger import IN_TARGET, PAGE
from migration.marks import Mark
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.delta import row_digest
from spark_jobs.storage.fingerprints import EMPTY, aggregates, of_row

log = logging.getLogger(__name__)

COMMITS_AT_A_TIME = 2_000
NOTHING = Mark("", -1, "")


def heal(work: Work, table: Table, *, may_mend: bool = False) -> int:
    """Make the ledger say what the target's log says; how many chunks it had otherwise.

    `may_mend`: chunks that were copied by another mapping are no reason to stop.
    """
    plan_id = work.plan.plan_id
    if not delta.exists(work.lake, table):
        return _lost(work, table)
    state = Append(work.lake, table)
    is_first = marks.read(work.ledger, plan_id, table.name) is None
    oldest = first_version(work.lake, table)
    since = _remembered(work, table, state, oldest=oldest)
    healed = 0
    for begin in range(max(since.version + 1, oldest), state.version + 1, COMMITS_AT_A_TIME):
        versions = range(begin, min(begin + COMMITS_AT_A_TIME, state.version + 1))
        facts = [fact for _, fact in facts_in(work.lake, table, versions)]
        here = Mark(state.table_id, versions[-1], transaction_id(work.lake, table, versions[-1]) or "")
        healed += marks.replay(
            work.ledger, (plan_id, table.name), list(_changes(work, facts)), here, run_id=work.run_id
        )
    if is_first or since is NOTHING:
        healed += _unheard(work, table, is_whole=oldest == 0)
    if not may_mend:
        _check_rules(work, table)
    if healed:
        log.info("ledger of plan %s healed from %s: %d chunks", plan_id, table.name, healed)
    return healed


def _remembered(work: Work, table: Table, state: Append, *, oldest: int) -> Mark:
    """Up to which commit the ledger has heard of this very table; NOTHING where it has to begin anew."""
    of = (work.plan.plan_id, table.name)
    mark = marks.read(work.ledger, *of) or marks.inherit(work.ledger, of, state.table_id, run_id=work.run_id)
    if mark is None or mark.table_id != state.table_id or mark.version > state.version:
        return NOTHING
    if mark.version < oldest:  # cleaned meanwhile: that happens to tables that go on, not to restored ones
        return mark
    return mark if (transaction_id(work.lake, table, mark.version) or "") == mark.transaction_id else NOTHING


def _changes(work: Work, facts: Iterable[dict[str, Any]]) -> Iterator[marks.Change]:
    """What each commit says of each chunk."""
    for fact in facts:
        if fact["kind"] in (COPY, REPAIR):
            yield marks.Change(fact["chunk"], counts=counts_of(fact), written_by=fact["rule_version"])
        elif fact["kind"] == REQUEUE:
            yield marks.Change(fact["chunk"], requeued=fingerprint_of(fact), written_by=fact["rule_version"])
        elif fact["kind"] == RULES and fact["job"] == work.job.name:
            yield marks.Change(written_by=fact["rule_version"])
        elif fact["kind"] == SETTLE:
            for chunk_id, taken in fact["losers"].items():
                yield marks.Change(chunk_id, taken=fingerprint_of(taken))


def _check_rules(work: Work, table: Table) -> None:
    """Refuse a chunk that was copied by another mapping: its transaction would keep the new rows out in silence."""
    if chunk := other_rules(work, table):
        raise TerminalError(
            f"chunk {chunk.chunk_id} was copied with mapping version {chunk.written_by}, the job has another one; "
            "bring the old mapping back, or, where it was mended for refused rows, run `migration requeue`"
        )


def other_rules(work: Work, table: Table) -> Chunk | None:
    """A chunk of the plan that was written by another mapping than the job's, as far as the ledger has heard."""
    wanted = next(mapping.version for mapping in work.mappings if mapping.table.name == table.name)
    return work.ledger.of_other_rules(work.plan.plan_id, table.name, wanted)


def _lost(work: Work, table: Table) -> int:
    """There is no such table: nothing is copied."""
    marks.forget(work.ledger, work.plan.plan_id, table.name)
    return _forget(work, work.ledger.chunks(work.plan.plan_id, target=table.name, states=IN_TARGET))


def _unheard(work: Work, table: Table, *, is_whole: bool) -> int:
    """Chunks of which a replay from the log's beginning said nothing.

    A whole log has no more to say: what the ledger holds for copied is not there. Of a log that was cleaned the rows
    themselves are asked, in one pass over one column, which chunks they came from.
    """
    if is_whole:
        return _forget(work, work.ledger.unseen(work.plan.plan_id, table.name, work.run_id))
    target = delta.read(work.lake, table).where(F.startswith("origin", F.lit("migration/")))
    there = target.select(F.substring_index("origin", "migration/", -1).alias("chunk_id")).distinct()
    healed = 0
    names = (row["chunk_id"] for row in there.toLocalIterator())
    while page := list(islice(names, PAGE)):
        unknown = [c for c in work.ledger.named(work.plan.plan_id, page) if c.state not in IN_TARGET and not c.counts]
        healed += _take_from_rows(work, table, unknown) if unknown else 0
    return healed


def _forget(work: Work, chunks: Iterable[Chunk]) -> int:
    forgotten = 0
    for chunk in chunks:
        work.ledger.move(chunk, ChunkState.PLANNED, message="its rows are no longer in the target")
        forgotten += 1
    return forgotten


def _take_from_rows(work: Work, table: Table, chunks: list[Chunk]) -> int:
    """Count what stands in the target and in quarantine of chunks that neither log nor ledger know of."""
    for chunk, counts in counted_rows(work, table, chunks):
        work.ledger.move(chunk, ChunkState.COPIED, counts=counts)
    return len(chunks)


def counted_rows(work: Work, table: Table, chunks: list[Chunk]) -> Iterator[tuple[Chunk, Counts]]:
    """The counts of chunks by what stands in the target and in quarantine now, settled or not."""
    origins = [chunk.origin for chunk in chunks]
    target = delta.read(work.lake, table).where(F.col("origin").isin(origins))
    digest = row_digest(table.types)
    good = {row["origin"]: of_row(row) for row in target.groupBy("origin").agg(*aggregates(digest)).collect()}
    sealed = delta.read(work.lake, QUARANTINE_ROWS).where(F.col("origin").isin(origins)).groupBy("origin").count()
    refused = {row["origin"]: int(row["count"]) for row in sealed.collect()}
    for chunk in chunks:
        rows, bad = good.get(chunk.origin, EMPTY), refused.get(chunk.origin, 0)
        # What is neither here nor there was settled away; verification tells whether that is so.
        yield chunk, Counts(chunk.records, bad, chunk.records - bad - rows.rows, rows)
