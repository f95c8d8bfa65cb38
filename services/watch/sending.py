"""The event that the check sends: it belongs to no person, and its name says what it is."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from spark_jobs import brokers
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import RetryableError
from spark_jobs.settings import Settings

NAME = "databank_canary"
_ACKNOWLEDGED_S = 60


@dataclass(frozen=True, slots=True)
class Canary:
    """One event: its id, when it happened, the business line that it says it is of."""

    event_id: str
    occurred_at: datetime
    workspace: str

    def message(self) -> bytes:
        """What goes into the topic: no identifier, so no tag, no visit and no person ever counts it."""
        event: Mapping[str, Any] = {
            "event_id": self.event_id,
            "workspace_id": self.workspace,
            "source": NAME,
            "name": NAME,
            "occurred_at": self.occurred_at.isoformat(timespec="microseconds"),
            "identifiers": [],
            "authenticated": False,
        }
        return json.dumps(event).encode()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the broker keeps it."""

    partition: int
    offset: int


def new(workspace: str) -> Canary:
    """An event that never was before, at a whole millisecond: Trino shows no more of a moment."""
    now = datetime.now(UTC)
    at = now.replace(microsecond=now.microsecond // 1000 * 1000)
    return Canary(f"{NAME}/{secrets.token_hex(8)}", at, workspace)


def send(canary: Canary, settings: Settings) -> Place:
    """Send it, acknowledged by all replicas in step; RetryableError where that does not happen."""
    servers, options = settings.kafka_bootstrap_servers, brokers.client_options(settings.kafka_account)
    try:
        with contextlib.closing(KafkaProducer(bootstrap_servers=servers.split(","), acks="all", **options)) as producer:
            kept = producer.send(EVENTS_TOPIC.name, value=canary.message()).get(timeout=_ACKNOWLEDGED_S)
    except (KafkaError, OSError) as error:
        raise RetryableError(
            f"Kafka on {servers} did not take the event: {error}; are enough brokers running?"
        ) from error
    return Place(kept.partition, kept.offset)
