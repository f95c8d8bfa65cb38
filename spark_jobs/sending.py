"""Messages go out exactly once: a task sends its partitions in transactions that say how far they are.

Each partition has a transactional id. Who begins with it fences every task that sent with it before, and reads how far
that one came: an offset of the delivery's consumer group, committed with the messages. So a task that is repeated, a
run that is repeated and two runs at once send every message once, and never an older publication behind a newer one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby, islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from spark_jobs.brokers import client_options
from spark_jobs.contracts.topics import TAG_STATE_TOPIC
from spark_jobs.errors import RetryableError
from spark_jobs.settings import Account

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A message as a row; in this order they go out. `is_note` is true for what ends a publication in its partition.
ORDER = ("partition", "is_note", "topic", "key")
COLUMNS = (*ORDER, "value")
SCHEMA = "partition int, sent bigint"
_TIMEOUT_MS = 600_000
# An offset is the publication's number and the messages of it that are sent, in one.
_PLACES = 32

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where one publication goes; `group` names the delivery of one workspace.

    `place` is the topic to whose partitions the offsets of the group belong.
    """

    servers: str
    account: Account | None
    group: str
    number: int
    at_once: int = 50_000  # messages of a transaction
    place: str = TAG_STATE_TOPIC.name

    @property
    def begin(self) -> int:
        """The offset before its first message."""
        return self.number << _PLACES

    @property
    def end(self) -> int:
        """The offset behind its last message."""
        return (self.number + 1) << _PLACES


def send_all(messages: DataFrame, delivery: Delivery, *, partitions: int) -> int:
    """Send all of a publication; how many messages this call sent. RetryableError where it is not wholly sent.

    In: rows of COLUMNS, unique on ORDER, so that their order is the same whenever they are computed; the topic's
    partitions.
    """
    from pyspark.errors import PySparkException  # noqa: PLC0415 - executors and tests of senders have no need of Spark
    from pyspark.sql import functions as F  # noqa: PLC0415

    # Whole partitions of the topic in a task.
    placed = messages.repartition(partitions, "partition").sortWithinPartitions(*ORDER)
    try:
        sent = placed.mapInArrow(sender(delivery), SCHEMA).agg(F.sum("sent")).collect()[0][0]
    except PySparkException as error:
        said = str(error).strip().splitlines()
        reason = next((line for line in reversed(said) if "kafka" in line.lower() or "Error" in line), said[0])
        raise RetryableError(
            f"publication {delivery.number} is not wholly in the topics: {reason[:300]}; what is there stays, start "
            "the delivery again. Does Kafka run, and does no other delivery?"
        ) from error
    return int(sent or 0)


def sender(delivery: Delivery) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The kernel: rows of COLUMNS, whole partitions, in order. Out: how many were sent of each partition."""

    def send(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = (row for batch in batches for row in batch.to_pylist())
        for partition, mine in groupby(rows, key=lambda row: int(row["partition"])):
            sent = _send(delivery, partition, mine)
            yield pa.RecordBatch.from_arrays(
                [pa.array([partition], pa.int32()), pa.array([sent], pa.int64())], names=["partition", "sent"]
            )

    return send


def _send(delivery: Delivery, partition: int, rows: Iterator[Message]) -> int:
    with contextlib.closing(_producer(delivery, partition)) as producer:
        producer.init_transactions()
        done = _done(delivery, partition)
        if done >= delivery.end:
            return 0
        place = max(done - delivery.begin, 0)
        waiting = islice(rows, place, None)
        chunk, sent = list(islice(waiting, delivery.at_once)), 0
        while chunk:
            following = list(islice(waiting, delivery.at_once))
            place, sent = place + len(chunk), sent + len(chunk)
            _commit(producer, partition, chunk, delivery, offset=delivery.begin + place if following else delivery.end)
            chunk = following
        return sent


def _commit(
    producer: KafkaProducer, partition: int, chunk: Iterable[Message], delivery: Delivery, *, offset: int
) -> None:
    producer.begin_transaction()
    for row in chunk:
        value = row["value"]
        producer.send(
            row["topic"], key=row["key"].encode(), value=None if value is None else value.encode(), partition=partition
        )
    reached = {_place(delivery, partition): OffsetAndMetadata(offset, "", -1)}
    producer.send_offsets_to_transaction(reached, delivery.group)
    producer.commit_transaction()


def _producer(delivery: Delivery, partition: int) -> KafkaProducer:
    return KafkaProducer(
        bootstrap_servers=delivery.servers.split(","),
        transactional_id=f"{delivery.group}-{partition}",
        transaction_timeout_ms=_TIMEOUT_MS,
        acks="all",
        linger_ms=20,
        **client_options(delivery.account),
    )


def _done(delivery: Delivery, partition: int) -> int:
    """How far this delivery came in a partition; 0 where it never began, or nobody looked for a week."""
    consumer = KafkaConsumer(
        bootstrap_servers=delivery.servers.split(","),
        group_id=delivery.group,
        enable_auto_commit=False,
        **client_options(delivery.account),
    )
    with contextlib.closing(consumer):
        return int(consumer.committed(_place(delivery, partition)) or 0)


def _place(delivery: Delivery, partition: int) -> TopicPartition:
    return TopicPartition(delivery.place, partition)
