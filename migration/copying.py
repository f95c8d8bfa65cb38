"""Copy: one chunk, one pass, one Delta commit, with every record in its place before anything becomes visible.

The rows of a chunk are counted and their fingerprint is taken on their way into files; then counts, fingerprint and the
share of bad rows go into the commit with the files (`storage.appending`). A process that is killed at any moment leaves
either no commit, and the chunk is copied again, or a commit that says by itself what it holds, and the ledger takes it
over; nothing has to be read back or guessed. Refused rows are written before that commit (`quarantining`): a chunk
whose transaction stands in the target is complete. Rows that share a key are all copied; `settling` finds them across
all chunks at once.

Where another operator took the job over meanwhile, Delta refuses the commit (`fencing`).
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

from pyspark.sql import SparkSession

from migration.chunks import Chunk, ChunkState, Counts
from migration.commits import COPY, REPAIR, copy_facts
from migration.faults import SPARK, of_chunk
from migration.fencing import check_fence, fence
from migration.healing import counted_rows
from migration.mapping import Mapping
from migration.pace import Pace
from migration.pacing import paced
from migration.quarantining import TRANSACTION, is_known, keep, remember, take_out_older
from migration.reading import refused_of, rows_of
from migration.sources.lines import reading_session
from migration.tally import Tally
from migration.waiting import to_copy
from migration.watch import UNWATCHED, Watch
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake, Transaction

log = logging.getLogger(__name__)

SHOWN = 10


def copy_all(work: Work, *, pace: Pace = Pace(), watch: Watch = UNWATCHED) -> None:  # noqa: B008 - it is frozen
    """Copy every chunk that is not copied yet, as the pace allows; TerminalError names those that failed, at the end.

    Where what every chunk needs is lost (lease, ledger, disk, a service), the running ones end and none begins. Chunks
    that failed before are tried again, except those whose verification failed: they need `repair`.
    """
    session = reading_session(work.lake.spark)
    prepare(work)
    remember(work)
    waiting = to_copy(work.ledger, work.plan.plan_id, pace.order)
    failed, named = 0, list[str]()
    with ThreadPoolExecutor(pace.parallel, thread_name_prefix="copy") as pool:

        def start(chunk: Chunk) -> Future[Chunk]:
            watch.began(chunk)
            return pool.submit(copy_chunk, work, session, chunk)

        try:
            for chunk in paced(waiting, start, pace, check=work.lease.check, waits=watch.waits):
                watch.ended(chunk)
                if chunk.state is ChunkState.FAILED:
                    failed += 1
                    named += [f"  {_failure(chunk)}"] if failed <= SHOWN else []
        except KeyboardInterrupt:
            work.lake.spark.sparkContext.cancelAllJobs()
            raise
    if failed:
        more = [f"  and {failed - SHOWN:,} more, see `migration status`"] if failed > SHOWN else []
        wanted = "mend these, then run `migration copy` again, which tries them once more"
        begin = f"chunks that failed: {failed:,}; the others are copied:"
        raise TerminalError("\n".join([begin, *named, *more, wanted]))


def prepare(work: Work) -> None:
    """Make the targets where they are not there yet, and keep out who held the job's lease before."""
    for mapping in work.mappings:
        delta.ensure(work.lake, mapping.table)
    delta.ensure(work.lake, QUARANTINE_ROWS)
    fence(work)


def copy_chunk(work: Work, session: SparkSession, chunk: Chunk, *, repair: bool = False) -> Chunk:
    """Copy one chunk and store what became of it, copied or failed; safe to repeat after any interruption.

    Raises what is not the chunk's own failure.
    """
    work.lease.check()
    started = datetime.now(UTC)
    repair = repair or (chunk.state is ChunkState.COPYING and chunk.counts is not None)  # a repair that was killed
    chunk = work.ledger.move(chunk, ChunkState.COPYING)
    try:
        counts = write_chunk(work, session, chunk, repair=repair)
    except (TerminalError, *SPARK) as error:
        said = str(error) if isinstance(error, TerminalError) else of_chunk(error, work.lake)
        if said is None:
            raise
        failed = work.ledger.move(chunk, ChunkState.FAILED, message=said)
        log.error("failed: %s", _failure(failed))
        return failed
    seconds = (datetime.now(UTC) - started).total_seconds()
    log.info("copied %s: %d records in %.1f s", chunk.chunk_id, counts.read, seconds)
    return work.ledger.move(chunk, ChunkState.COPIED, counts=counts)


def write_chunk(work: Work, session: SparkSession, chunk: Chunk, *, repair: bool = False) -> Counts:
    """Write the chunk's rows, good and refused, once; the same chunk again changes nothing.

    `repair` replaces what target and quarantine hold of the chunk, each in one commit.
    """
    mapping = work.job.mapping_of(chunk.target)
    work.source.check_unchanged(chunk)
    what = f"{'repairing' if repair else 'copying'} {chunk.chunk_id}"
    return until_committed(lambda: _write(work, session, chunk, mapping, repair=repair), what)


def _write(work: Work, session: SparkSession, chunk: Chunk, mapping: Mapping, *, repair: bool) -> Counts:
    with Append(Lake(session, work.lake.root), mapping.table) as transaction:
        check_fence(work, transaction)
        if is_known(transaction, chunk) and not repair:  # committed by a process that was killed, or by another plan
            ((_, counts),) = counted_rows(work, mapping.table, [chunk])
            return counts
        tally = Tally(rows_of(work, session, mapping, [chunk]), mapping)
        transaction.write(tally.good)
        counts = _checked(work, session, chunk, tally, is_repair=repair)
        if repair:
            take_out_older(work, transaction, chunk)
        work.lease.check()
        facts = copy_facts(chunk, counts, run_id=work.run_id, kind=REPAIR if repair else COPY)
        transaction.commit(Transaction(chunk.origin, TRANSACTION), facts=facts)
    return counts


def _checked(work: Work, session: SparkSession, chunk: Chunk, tally: Tally, *, is_repair: bool) -> Counts:
    """Counts that may be committed: all records have a place, those without one in the target are in quarantine."""
    work.source.check_unchanged(chunk)
    counts = tally.counts
    check_counts(counts, chunk, tally.mapping, erased=tally.erased)
    if tally.left_out:
        log.info(
            "left out %d identifiers that mean nobody, or an erased person, from %s", tally.left_out, chunk.chunk_id
        )
    refused = None
    if counts.quarantined:
        refused = refused_of(work, session, tally.mapping, chunk, among=tally.refused)
    until_committed(
        lambda: keep(work, chunk, refused, wanted=counts.quarantined, is_repair=is_repair),
        f"quarantining of {chunk.chunk_id}",
    )
    return counts


def check_counts(counts: Counts, chunk: Chunk, mapping: Mapping, *, erased: int = 0) -> None:
    """Refuse a chunk that lost or doubled a record, or that has too many bad ones; nothing is written yet.

    `erased`: how many of the refused are of erased persons, which makes none of them bad.
    """
    if not counts.is_conserved or counts.read != chunk.records:
        raise TerminalError(
            f"chunk {chunk.chunk_id}: planned {chunk.records} records, read {counts.read} = {counts.good.rows} good + "
            f"{counts.quarantined} quarantined + {counts.duplicate} duplicate does not hold; nothing was written; "
            f"compare {chunk.source_object} with the plan"
        )
    if (bad := counts.quarantined - erased) > mapping.accepted_bad_share * counts.read:
        raise TerminalError(
            f"chunk {chunk.chunk_id}: {bad} of {counts.read} records are refused, more than the "
            f"accepted share of {mapping.accepted_bad_share:g}; nothing was written; mend the file or the mapping, or "
            "accept more with `accepted_bad_share`"
        )


def repair_chunk(work: Work, chunk_id: str) -> Chunk:
    """Replace what the target holds of one chunk by what its file says; then settle and verify again."""
    chunk = work.ledger.chunk(work.plan.plan_id, chunk_id)
    prepare(work)
    session = reading_session(work.lake.spark)
    if chunk.state in (ChunkState.COPIED, ChunkState.VERIFIED):
        chunk = work.ledger.move(chunk, ChunkState.FAILED, message="repair was asked for")
    chunk = copy_chunk(work, session, chunk, repair=True)
    if chunk.state is ChunkState.FAILED:
        raise TerminalError(_failure(chunk))
    return chunk


def _failure(chunk: Chunk) -> str:
    """Why a chunk failed, by its name; some messages have it already."""
    return f"chunk {chunk.chunk_id}: {chunk.message.removeprefix(f'chunk {chunk.chunk_id}: ')}"
