"""Events of random persons, at a rate, from a thread of its own."""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from kafka import KafkaProducer

from bench.profiles.rows import WORKSPACE, phone
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser

_TICK_S = 0.02


def event_of(person_token: bytes, at: datetime) -> tuple[bytes, bytes]:
    """Key and value of a message."""
    identifier = {"type": "phone", "scope": "", "token": person_token.hex(), "kid": "k1"}
    content = {"event_id": str(uuid.uuid4()), "workspace_id": WORKSPACE, "source": "web", "name": "view"}
    content |= {"occurred_at": at.isoformat(timespec="microseconds"), "authenticated": False}
    content |= {"properties": {"page": "/"}, "touchpoint": {"terminal": "pc"}}
    return f"{WORKSPACE}/{person_token.hex()}".encode(), json.dumps({**content, "identifiers": [identifier]}).encode()


class Rate:
    """Sends in the block; `count`: how many events."""

    def __init__(self, servers: str, key_file: Path, *, persons: int, rate: float) -> None:
        self.count = 0
        self._persons, self._rate = persons, rate
        self._tokeniser = Tokeniser(load_root_keys(key_file))
        self._producer = KafkaProducer(bootstrap_servers=servers, acks=1, linger_ms=5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_given: object) -> None:
        self._stop.set()
        self._thread.join()
        self._producer.close()

    def _send(self) -> None:
        chance, began = random.Random(0), time.monotonic()
        while not self._stop.wait(_TICK_S):
            # Behind the plan it catches up: a machine that is too slow is seen in the rate that is printed.
            while self.count < (time.monotonic() - began) * self._rate and not self._stop.is_set():
                token = self._tokeniser.token("phone", "", phone(chance.randrange(self._persons)))
                key, value = event_of(token, datetime.now(UTC))
                self._producer.send(EVENTS_TOPIC.name, key=key, value=value)
                self.count += 1
