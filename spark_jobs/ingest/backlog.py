"""What the topic holds and the stream has not taken in yet; for who waits while a service runs the stream."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from spark_jobs.errors import RetryableError
from spark_jobs.ingest import door
from spark_jobs.settings import Settings

Offsets = Mapping[int, int]  # by partition: of the next message


def ends(settings: Settings, topic: str) -> dict[int, int]:
    """Where the topic ends now; RetryableError where no broker answers."""
    servers = settings.kafka_bootstrap_servers
    try:
        options = door.client_options(settings.kafka_account)
        with contextlib.closing(KafkaConsumer(bootstrap_servers=servers.split(","), **options)) as consumer:
            places = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            return {place.partition: offset for place, offset in consumer.end_offsets(places).items()}
    except (KafkaError, OSError) as error:
        raise RetryableError(f"Kafka on {servers} does not answer: {error}; is it running?") from error


def taken(written: str | None, topic: str) -> dict[int, int]:
    """Where the stream is, by a file of Spark's `offsets` folder: its last line is JSON by topic and partition."""
    if written is None:
        return {}
    by_topic = json.loads(written.strip().splitlines()[-1])
    return {int(partition): int(offset) for partition, offset in by_topic.get(topic, {}).items()}


def missing(wanted: Offsets, has: Offsets) -> int:
    """How many messages below `wanted` were not taken in; at most, for a topic may begin later than at 0."""
    return sum(max(0, end - has.get(partition, 0)) for partition, end in wanted.items())
