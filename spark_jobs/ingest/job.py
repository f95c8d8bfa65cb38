"""Stream the events topic into raw.events, core.events, core.orders and core.order_lines, exactly once."""

from __future__ import annotations

import argparse
import json
import logging
import signal
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pyspark import inheritable_thread_target
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.streaming.query import StreamingQuery

from spark_jobs import brokers
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.operations import QUARANTINE_ROWS, RAW_EVENTS
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.tables import STREAMED
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.ingest import backlog, systemd
from spark_jobs.ingest.erased import kept_out
from spark_jobs.ingest.messages import parse_messages
from spark_jobs.ingest.purchases import lines_from_purchases, orders_from_lines
from spark_jobs.ingest.rows import event_rows, first_of_each_event, not_yet_known, raw_rows, refused_rows
from spark_jobs.protection.sealing import seal_column
from spark_jobs.settings import Settings
from spark_jobs.storage import delta, runs, tombstones
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.streams import committed_offsets, first_offsets, stream_id

log = logging.getLogger(__name__)

WORKSPACE_OF_RUNS = "all"
POLL_S = 1
BEHIND_S = 1800  # a service that has not caught up by then is slower than its source, or does not run
BARRIER_S = 300  # a stream that runs is seconds behind
COMMITS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Stream:
    """What a batch needs: where rows lie, who writes, which workspaces exist, where the key is."""

    lake: Lake
    stream_id: str
    workspaces: tuple[str, ...]
    key_file: Path


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """Where the messages of one batch went: read = events + duplicates + refused."""

    read: int
    refused: int
    events: int
    parked_identifiers: int

    @property
    def duplicates(self) -> int:
        """Messages whose event was there already, from this batch or an earlier record."""
        return self.read - self.refused - self.events


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long to run, and how often to commit."""
    parser.add_argument(
        "--drain",
        action="store_true",
        help="end when all that the topic holds now is taken in; where a service runs the stream, wait for that",
    )
    parser.add_argument("--trigger-s", type=int, default=5, help="seconds between commits (default 5)")
    parser.add_argument("--max-messages", type=int, default=50_000, help="messages a batch at most (default 50,000)")


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Run until SIGTERM or SIGINT (what has arrived by then is still taken in), or with --drain until the end."""
    lake = Lake(spark, settings.storage_root)
    checkpoint = _checkpoint(lake.root)
    if args.drain and settings.ingest_is_service:  # two streams of one checkpoint end each other
        offsets = pass_barrier(lake, settings, most_s=BEHIND_S)
        return {"taken in by": "databank-ingest", "offsets": offsets}
    for table in STREAMED:
        delta.ensure(lake, table)
    stream = Stream(
        lake=lake,
        stream_id=f"ingest/{EVENTS_TOPIC.name}/{stream_id(lake, checkpoint)}",
        workspaces=tuple(workspace.name for workspace in settings.workspaces),
        key_file=settings.root_key_file,
    )
    query = _start(stream, brokers.spark_options(settings), checkpoint, args)
    systemd.tell(systemd.RUNNING)
    _wait(query)
    return {
        "batches": int(query.lastProgress["batchId"]) + 1 if query.lastProgress else 0,
        "stream_id": stream.stream_id,
    }


def pass_barrier(lake: Lake, settings: Settings, *, most_s: float = BARRIER_S) -> backlog.Offsets:
    """Return when all that the topic holds now is in the tables, whoever runs the stream; where the topic ended.

    What was sent before this call lies before these offsets, and the stream notes a batch when its rows are committed.
    """
    topic, checkpoint = EVENTS_TOPIC.name, _checkpoint(lake.root)
    wanted = topic_ends(settings)
    return backlog.passed(wanted, lambda: backlog.taken(committed_offsets(lake, checkpoint), topic), most_s=most_s)


def topic_ends(settings: Settings) -> backlog.Offsets:
    """Where the topic of live events ends now."""
    return backlog.ends(settings, EVENTS_TOPIC.name)


def began_at(lake: Lake) -> backlog.Offsets:
    """Where the stream began to read the topic; nothing where it never did. Since then it has left nothing out."""
    return backlog.taken(first_offsets(lake, _checkpoint(lake.root)), EVENTS_TOPIC.name)


def _checkpoint(storage_root: str) -> str:
    return f"{storage_root}/checkpoints/ingest/{EVENTS_TOPIC.name}"


def _start(stream: Stream, source: Mapping[str, str], checkpoint: str, args: argparse.Namespace) -> StreamingQuery:
    messages = (
        stream.lake.spark.readStream.format("kafka")
        .options(**source)
        .option("subscribe", EVENTS_TOPIC.name)
        .option("startingOffsets", "earliest")  # the default, latest, would skip what waits
        .option("failOnDataLoss", "true")
        .option("maxOffsetsPerTrigger", args.max_messages)
        .load()
    )
    writer = messages.writeStream.foreachBatch(lambda batch, number: take_in(batch, number, stream))
    writer = writer.option("checkpointLocation", checkpoint).queryName("ingest")
    trigger = {"availableNow": True} if args.drain else {"processingTime": f"{args.trigger_s} seconds"}
    return writer.trigger(**trigger).start()


def _wait(query: StreamingQuery) -> None:
    asked: list[int] = []
    before = {
        number: signal.signal(number, lambda received, _frame: asked.append(received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        while not query.awaitTermination(POLL_S):
            if asked:
                log.info("asked to stop: taking in what has arrived")
                query.processAllAvailable()
                query.stop()
                return
    except StreamingQueryException as error:
        raise _explained(str(error)) from error
    finally:
        for number, handler in before.items():  # a job after this one in the same session ends by them
            signal.signal(number, handler)


def _explained(text: str) -> RetryableError | TerminalError:
    """What a failed stream means to the operator; offsets that Kafka has dropped are a loss that nobody may skip."""
    first = text.strip().splitlines()[0][:500]
    if "KAFKA_DATA_LOSS" in text:
        return TerminalError(
            f"Kafka no longer holds messages that were not taken in: {first}; restore them or accept the loss"
        )
    return RetryableError(f"the stream stopped: {first}; nothing is lost, start it again")


def take_in(messages: DataFrame, number: int, stream: Stream) -> None:
    """Write one batch; every write carries the batch's transaction, so a batch that is repeated changes nothing."""
    read = messages.count()  # from the offsets alone: nothing is parsed
    if not read:
        return
    once = Transaction(stream.stream_id, number)
    parsed = parse_messages(messages, workspaces=stream.workspaces)
    parsed = kept_out(parsed, tombstones.standing(stream.lake), key_file=stream.key_file)
    # Only good rows are kept between the writes: they hold tokens. Refused bytes may hold clear identifiers, so they
    # are read again from Kafka and sealed on the way, and never stand in Spark's local files.
    good = parsed.where(F.col("reason").isNull()).drop("reason", "value").persist()
    try:
        counts = _write(good, parsed.where(F.col("reason").isNotNull()), stream, once=once, read=read)
    finally:
        good.unpersist()
    log.info(
        "batch %d: %d read, %d events, %d duplicate, %d refused",
        number,
        counts.read,
        counts.events,
        counts.duplicates,
        counts.refused,
    )


def _write(good: DataFrame, refused: DataFrame, stream: Stream, *, once: Transaction, read: int) -> BatchCounts:
    lake, started = stream.lake, datetime.now(UTC)
    span = _span(good)
    known = _known(lake, EVENTS, "occurred", span)
    accepted = not_yet_known(good.transform(first_of_each_event), known, EVENTS.key).persist()
    # A commit is mostly waiting, so the tables that do not depend on each other are written side by side.
    with ThreadPoolExecutor(max_workers=COMMITS_AT_ONCE) as pool:
        writes = Writes(pool, lake, once)
        writes.begin(_not_yet_raw(raw_rows(good), lake, span), RAW_EVENTS)
        if read > span["good"]:
            writes.begin(seal_column(refused_rows(refused), "sealed", key_file=stream.key_file), QUARANTINE_ROWS)
        facts = accepted.agg(F.count(F.lit(1)).alias("events"), F.count("bought").alias("purchases")).collect()[0]
        if facts["purchases"]:
            _begin_purchases(accepted.where(F.col("bought").isNotNull()), writes, span)
        counts = BatchCounts(read, read - span["good"], facts["events"], span["parked"])
        _record(counts, stream, once=once, started=started)
        writes.wait()
    # Events last: they mark a message as known. A batch that died before this line counts anew and alike; one that
    # died after it finds every write of its own done, its counts too.
    delta.append(event_rows(accepted), lake, EVENTS, once=once)
    accepted.unpersist()
    return counts


class Writes:
    """Appends of one batch that run side by side; all carry its transaction."""

    def __init__(self, pool: ThreadPoolExecutor, lake: Lake, once: Transaction) -> None:
        self.lake = lake
        self._pool, self._once = pool, once
        self._begun: list[Future[None]] = []

    def begin(self, rows: DataFrame, table: Table) -> None:
        """Start an append; its thread inherits what stops this stream's jobs."""
        append = partial(delta.append, rows, self.lake, table, once=self._once)
        self._begun.append(self._pool.submit(inheritable_thread_target(self.lake.spark)(append)))

    def wait(self) -> None:
        """Return when all are committed; the first failure is raised."""
        for one in self._begun:
            one.result()


def _begin_purchases(purchases: DataFrame, writes: Writes, span: Row) -> None:
    lines = lines_from_purchases(purchases)
    orders = not_yet_known(orders_from_lines(lines), _known(writes.lake, ORDERS, "ordered", span), ORDERS.key)
    fresh = not_yet_known(lines, _known(writes.lake, ORDER_LINES, "ordered", span), ORDER_LINES.key)
    writes.begin(fresh, ORDER_LINES)
    writes.begin(orders, ORDERS)


def _span(good: DataFrame) -> Row:
    """What the batch covers, in one row: it bounds what must be read to find repetitions."""
    ranges = [
        f(name).alias(f"{f.__name__}_{name}")
        for name in ("occurred_at", "occurred_date", "offset", "received_date")
        for f in (F.min, F.max)
    ]
    counts = (F.count(F.lit(1)).alias("good"), F.coalesce(F.sum("parked"), F.lit(0)).alias("parked"))
    return good.agg(*counts, *ranges).collect()[0]


def _known(lake: Lake, table: Table, moment: str, span: Row) -> DataFrame:
    """Keys that the table holds for the batch's time span; a source that repeats an event repeats its time as well."""
    since, until = span["min_occurred_at"], span["max_occurred_at"]
    if since is None:
        return delta.read(lake, table).where(F.lit(False))
    rows = delta.read(lake, table).where(F.col(f"{moment}_at").between(since, until))
    return rows.where(F.col(f"{moment}_date").between(span["min_occurred_date"], span["max_occurred_date"]))


def _not_yet_raw(rows: DataFrame, lake: Lake, span: Row) -> DataFrame:
    """Messages that `raw.events` does not hold: after a lost checkpoint the topic is read from its start again."""
    offsets = F.col("offset").between(span["min_offset"], span["max_offset"])
    days = F.col("received_date").between(span["min_received_date"], span["max_received_date"])
    held = delta.read(lake, RAW_EVENTS).where(days & offsets).select(*RAW_EVENTS.key)
    return rows.join(held, on=list(RAW_EVENTS.key), how="left_anti")


def _record(counts: BatchCounts, stream: Stream, *, once: Transaction, started: datetime) -> None:
    detail = {"batch": once.version, "stream_id": stream.stream_id, "identifiers_parked": counts.parked_identifiers}
    row = {
        "run_id": f"{stream.stream_id}/{once.version}",
        "job": "ingest",
        "workspace_id": WORKSPACE_OF_RUNS,
        "started_at": started,
        "ended_at": datetime.now(UTC),
        "state": "succeeded",
        "rows_in": counts.read,
        "rows_out": counts.events,
        "rows_quarantined": counts.refused,
        "rows_duplicate": counts.duplicates,
        "detail": json.dumps(detail, sort_keys=True),
    }
    runs.record(stream.lake, row, once=once)
