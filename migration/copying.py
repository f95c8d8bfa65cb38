"""Copy: one chunk, one Delta commit, with every record in its place before anything becomes visible.

A chunk's rows are kept once, tokenised (Spark's cache, spilling to its local folder), and then counted, searched for
repeated keys and written. So all that the commit must carry is known before the commit: counts, fingerprint, the share
of bad rows. A process that is killed at any moment leaves either no commit, and the chunk is copied again, or a commit
that says by itself what it holds, and the ledger takes it over; nothing has to be read back or guessed. A fingerprint
taken while writing would be cheaper by one pass over the cache, but be lost with a process that dies after the commit.

Refused rows are written first, the good rows last: a chunk whose transaction stands in the target is complete.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from migration.chunks import Chunk, ChunkState, Counts
from migration.commits import COPY, REPAIR, copy_facts
from migration.mapping import Mapping
from migration.pace import Pace
from migration.pacing import paced
from migration.reading import rows_of
from migration.rows import digest_of, is_good
from migration.sources.lines import reading_session
from migration.waiting import to_copy
from migration.watch import UNWATCHED, Watch
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import PlatformError, TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction
from spark_jobs.storage.fingerprints import aggregates, of_row

log = logging.getLogger(__name__)

STAGE = "migration"
TRANSACTION = 1  # the same for every attempt: the chunk's id alone decides whether its rows are there


def copy_all(work: Work, *, pace: Pace = Pace(), watch: Watch = UNWATCHED) -> None:  # noqa: B008 - it is frozen
    """Copy every chunk that is not copied yet, as the pace allows; after a failure the running ones end, none begins.

    Chunks that failed before are tried again, except those whose verification failed: they need `repair`.
    """
    session = reading_session(work.lake.spark)
    for mapping in work.mappings:
        delta.ensure(work.lake, mapping.table)
    delta.ensure(work.lake, QUARANTINE_ROWS)
    waiting = to_copy(work.ledger, work.plan.plan_id, pace.order)
    with ThreadPoolExecutor(pace.parallel, thread_name_prefix="copy") as pool:

        def start(chunk: Chunk) -> Future[Chunk]:
            watch.began(chunk)
            return pool.submit(copy_chunk, work, session, chunk)

        try:
            for chunk in paced(waiting, start, pace, check=work.lease.check, waits=watch.waits):
                watch.copied(chunk)
        except KeyboardInterrupt:
            work.lake.spark.sparkContext.cancelAllJobs()
            raise


def copy_chunk(work: Work, session: SparkSession, chunk: Chunk, *, repair: bool = False) -> Chunk:
    """Copy one chunk and store what became of it; safe to repeat after any interruption."""
    work.lease.check()
    started = datetime.now(UTC)
    chunk = work.ledger.move(chunk, ChunkState.COPYING)
    try:
        counts = write_chunk(work, session, chunk, repair=repair)
    except PlatformError as error:
        work.ledger.move(chunk, ChunkState.FAILED, message=str(error))
        raise
    seconds = (datetime.now(UTC) - started).total_seconds()
    log.info("copied %s: %d records in %.1f s", chunk.chunk_id, counts.read, seconds)
    return work.ledger.move(chunk, ChunkState.COPIED, counts=counts)


def write_chunk(work: Work, session: SparkSession, chunk: Chunk, *, repair: bool = False) -> Counts:
    """Write the chunk's rows, good and refused, once; the same chunk again changes nothing.

    `repair` replaces what the target holds of the chunk, in one commit.
    """
    mapping = work.job.mapping_of(chunk.target)
    work.source.check_unchanged(chunk)
    rows = rows_of(work, session, mapping, [chunk]).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        counts, good = measure(rows, mapping)
        work.source.check_unchanged(chunk)
        check_counts(counts, chunk, mapping)
        work.lease.check()
        if counts.quarantined:
            _write_refused(work, rows, chunk)
        write = _replace_good if repair else _append_good
        write(work, good, mapping, copy_facts(chunk, counts, run_id=work.run_id, kind=REPAIR if repair else COPY))
    finally:
        rows.unpersist()
    return counts


def measure(rows: DataFrame, mapping: Mapping) -> tuple[Counts, DataFrame]:
    """Count the rows by place; the rows that stay: good, and the first of their natural key in the chunk."""
    digest = digest_of(mapping)
    refused = F.count(F.when(~is_good(), F.lit(1))).alias("quarantined")
    left_out = F.coalesce(F.sum("left_out"), F.lit(0)).alias("left_out")
    total = rows.agg(F.count(F.lit(1)).alias("read"), refused, left_out, *aggregates(digest)).collect()[0]
    repeated = repeated_in_chunk(rows.where(is_good()).withColumn("digest", digest), mapping.table.key)
    doubles = of_row(repeated.agg(*aggregates(F.col("digest"))).collect()[0])
    good = rows.where(is_good())
    if total["left_out"]:
        log.info("left out %d identifiers that mean nobody from %s", total["left_out"], mapping.table.name)
    if doubles.rows:
        # A line's position is unique in its chunk: the join takes out exactly the repeated lines.
        good = good.join(repeated.select("origin_position"), on="origin_position", how="left_anti")
    return Counts(total["read"], total["quarantined"], doubles.rows, of_row(total) - doubles), good


def repeated_in_chunk(rows: DataFrame, key: Sequence[str]) -> DataFrame:
    """The rows whose natural key an earlier line has: origin_position and digest.

    Only a 64-bit hash of each key is shuffled for all rows; whole keys are compared where two hashes are equal.
    """
    keyed = rows.select(*key, "origin_position", "digest", F.xxhash64(*key).alias("key_hash"))
    twice = keyed.groupBy("key_hash").agg(F.count(F.lit(1)).alias("rows")).where(F.col("rows") > 1)
    # `twice` is unique on the hash, so this cannot add rows.
    suspects = keyed.join(twice, on="key_hash", how="left_semi")
    first = Window.partitionBy(*key).orderBy("origin_position")
    return (
        suspects.withColumn("place", F.row_number().over(first))
        .where(F.col("place") > 1)
        .select("origin_position", "digest")
    )


def check_counts(counts: Counts, chunk: Chunk, mapping: Mapping) -> None:
    """Refuse a chunk that lost or doubled a record, or that has too many bad ones; nothing is written yet."""
    if not counts.is_conserved or counts.read != chunk.records:
        raise TerminalError(
            f"chunk {chunk.chunk_id}: planned {chunk.records} records, read {counts.read} = {counts.good.rows} good + "
            f"{counts.quarantined} quarantined + {counts.duplicate} duplicate does not hold; nothing was written; "
            f"compare {chunk.source_object} with the plan"
        )
    if counts.quarantined > mapping.accepted_bad_share * counts.read:
        raise TerminalError(
            f"chunk {chunk.chunk_id}: {counts.quarantined} of {counts.read} records are refused, more than the "
            f"accepted share of {mapping.accepted_bad_share:g}; nothing was written; mend the file or the mapping"
        )


def _append_good(work: Work, good: DataFrame, mapping: Mapping, facts: dict[str, object]) -> None:
    chunk_id = facts["chunk"]
    once = Transaction(f"migration/{chunk_id}", TRANSACTION)
    delta.append(good, work.lake, mapping.table, once=once, facts=facts)


def _replace_good(work: Work, good: DataFrame, mapping: Mapping, facts: dict[str, object]) -> None:
    writer = delta.conform(good, mapping.table).write.format("delta").mode("overwrite")
    writer = writer.option("replaceWhere", f"origin = 'migration/{facts['chunk']}'")
    writer.option("userMetadata", json.dumps(facts, sort_keys=True)).save(work.lake.path_of(mapping.table))


def _write_refused(work: Work, rows: DataFrame, chunk: Chunk) -> None:
    moment = F.lit(datetime.now(UTC)).cast("timestamp")
    refused = rows.where(~is_good()).select(
        F.lit(work.job.workspace).alias("workspace_id"),
        F.lit(STAGE).alias("stage"),
        F.lit(chunk.target).alias("target"),
        F.lit(chunk.source_object).alias("source_object"),
        "block_start",
        F.col("line").alias("position"),
        "reason",
        "sealed",
        "kid",
        F.lit(chunk.rule_version).alias("rule_version"),
        "origin",
        moment.alias("quarantined_at"),
        F.to_date(moment).alias("quarantined_date"),
    )
    delta.append(refused, work.lake, QUARANTINE_ROWS, once=Transaction(chunk.origin, TRANSACTION))


def repair_chunk(work: Work, chunk_id: str) -> Chunk:
    """Replace what the target holds of one chunk by what its file says; then settle and verify again."""
    chunk = work.ledger.chunk(work.plan.plan_id, chunk_id)
    session = reading_session(work.lake.spark)
    if chunk.state in (ChunkState.COPIED, ChunkState.VERIFIED):
        chunk = work.ledger.move(chunk, ChunkState.FAILED, message="repair was asked for")
    return copy_chunk(work, session, chunk, repair=True)
