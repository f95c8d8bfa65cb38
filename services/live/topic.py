"""The events topic as the service of live tags reads it: from offsets that the store knows, in no consumer group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from kafka import KafkaConsumer, TopicPartition

from spark_jobs.brokers import client_options
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import RetryableError
from spark_jobs.settings import Settings

_NAME = EVENTS_TOPIC.name


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its place, the broker's time (milliseconds since 1970 UTC), its bytes."""

    partition: int
    offset: int
    timestamp_ms: int
    value: bytes | None


class Source(Protocol):
    """Messages from an offset on, partition by partition."""

    def beginnings(self) -> dict[int, int]:
        """Partition to the first message that is still there."""

    def ends(self) -> dict[int, int]:
        """Partition to the offset behind its last message."""

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Read from these offsets on."""

    def read(self, *, wait_ms: int, most: int) -> list[Message]:
        """Messages that follow; waits for the first one so long at most."""

    def close(self) -> None:
        """Let go of the broker."""


class EventsTopic:
    """A `Source` on a broker."""

    def __init__(self, settings: Settings) -> None:
        """Connect; RetryableError where the topic is not there."""
        self._consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap_servers.split(","),
            enable_auto_commit=False,
            auto_offset_reset="none",  # what retention took would be passed over in silence
            **client_options(settings.kafka_account),
        )
        numbers = self._consumer.partitions_for_topic(_NAME)
        if not numbers:
            self._consumer.close()
            raise RetryableError(f"Kafka has no topic {_NAME}; is the stack set up?")
        self._places = [TopicPartition(_NAME, number) for number in sorted(numbers)]
        self._consumer.assign(self._places)

    def beginnings(self) -> dict[int, int]:
        """See Source."""
        return {place.partition: int(at) for place, at in self._consumer.beginning_offsets(self._places).items()}

    def ends(self) -> dict[int, int]:
        """See Source."""
        return {place.partition: int(at) for place, at in self._consumer.end_offsets(self._places).items()}

    def seek(self, offsets: Mapping[int, int]) -> None:
        """See Source."""
        for place in self._places:
            self._consumer.seek(place, offsets[place.partition])

    def read(self, *, wait_ms: int, most: int) -> list[Message]:
        """See Source."""
        found = self._consumer.poll(timeout_ms=wait_ms, max_records=most)
        return [
            Message(place.partition, int(one.offset), int(one.timestamp), one.value)
            for place, records in found.items()
            for one in records
        ]

    def close(self) -> None:
        """See Source."""
        self._consumer.close()
