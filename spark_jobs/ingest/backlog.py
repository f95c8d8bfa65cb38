"""What the topic holds and the stream has not taken in yet; for who waits while a service runs the stream."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from spark_jobs import brokers
from spark_jobs.errors import RetryableError
from spark_jobs.settings import Settings

Offsets = Mapping[int, int]  # by partition: of the next message
POLL_S = 1


def ends(settings: Settings, topic: str) -> dict[int, int]:
    """Where the topic ends now; RetryableError where no broker answers."""
    servers = settings.kafka_bootstrap_servers
    try:
        options = brokers.client_options(settings.kafka_account)
        with contextlib.closing(KafkaConsumer(bootstrap_servers=servers.split(","), **options)) as consumer:
            places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            found = {place.partition: offset for place, offset in consumer.end_offsets(places).items()}
    except (KafkaError, OSError) as error:
        raise RetryableError(f"Kafka on {servers} does not answer: {error}; is it running?") from error
    if not found:  # nothing is behind a topic that is not there, and nobody may take that for all
        raise RetryableError(f"Kafka on {servers} has no topic {topic}; make it (`services.topics`), then try again")
    return found


def taken(written: str | None, topic: str) -> dict[int, int]:
    """Offsets by a file of Spark's checkpoint, none where there is none: its last line is JSON by topic, partition."""
    if written is None:
        return {}
    by_topic = json.loads(written.strip().splitlines()[-1])
    return {int(partition): int(offset) for partition, offset in by_topic.get(topic, {}).items()}


def passed(wanted: Offsets, has: Callable[[], Offsets], *, most_s: float) -> Offsets:
    """Return `wanted` when the stream has taken in all before it; RetryableError where that takes too long."""
    until = time.monotonic() + most_s
    while behind := missing(wanted, has()):
        if time.monotonic() > until:
            raise RetryableError(
                f"the stream of live events is {behind} messages behind after {most_s:.0f} s; does it run "
                "(`databank tracking ingest`, as a service databank-ingest)? Look at its log, and try again"
            )
        time.sleep(POLL_S)
    return wanted


def missing(wanted: Offsets, has: Offsets) -> int:
    """How many messages below `wanted` were not taken in; at most, for a topic may begin later than at 0."""
    return sum(max(0, end - has.get(partition, 0)) for partition, end in wanted.items())
