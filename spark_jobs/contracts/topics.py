"""Kafka topics, described once; the broker's set-up, the producers and the stream derive from here."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic; replication is the installation's choice, partitions are part of the contract."""

    name: str
    grain: str
    key: str
    partitions: int
    retention_ms: int
    max_message_bytes: int = 1_048_576


EVENTS_TOPIC = Topic(
    name="databank.events",
    grain="one event as JSON, identifiers tokenised before they are sent",
    key="workspace and token of the strongest identifier, so that one person's events stay in order",
    partitions=4,
    retention_ms=7 * DAY_MS,
)

TOPICS: tuple[Topic, ...] = (EVENTS_TOPIC,)
