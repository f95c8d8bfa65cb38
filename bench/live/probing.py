"""Events that are watched: until the API counts them, and until the topic of live tags tells of them."""

from __future__ import annotations

import http.client
import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from bench.live.sending import event_of
from bench.profiles.rows import phone
from spark_jobs.contracts.topics import EVENTS_TOPIC, LIVE_TAGS_TOPIC
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser

_MOST_S = 60.0
_PAUSE_S = 0.02


class Probes:
    """Begins watched events in the block; `told` when it has ended. counted: events of each person before."""

    def __init__(self, servers: str, key_file: Path, port: int, *, key: str, counted: int) -> None:
        self._tokeniser = Tokeniser(load_root_keys(key_file))
        self._producer = KafkaProducer(bootstrap_servers=servers, acks=1)
        self._port, self._headers, self._counted = port, {"Authorization": f"Bearer {key}"}, counted
        self._began: dict[str, float] = {}
        self._seen: dict[str, list[float]] = {"API": [], "topic": [], "never": []}
        self._threads = ThreadPoolExecutor(32)
        self._consumer = KafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed")
        places = [TopicPartition(LIVE_TAGS_TOPIC.name, number) for number in range(LIVE_TAGS_TOPIC.partitions)]
        self._consumer.assign(places)
        self._consumer.seek_to_end(*places)
        self._stop = threading.Event()
        self._reading = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._reading.start()
        return self

    def __exit__(self, *_given: object) -> None:
        self._threads.shutdown()
        self._stop.wait(2)  # the topic tells a little later
        self._stop.set()
        self._reading.join()
        self._consumer.close()
        self._producer.close()

    def begin(self, person: int) -> None:
        """Something happens to a person; the first time."""
        at = datetime.now(UTC)
        key, value = event_of(self._tokeniser.token("phone", "", phone(person)), at)
        self._began[str(uuid.uuid5(uuid.NAMESPACE_OID, str(person)))] = at.timestamp()
        self._producer.send(EVENTS_TOPIC.name, key=key, value=value)
        self._threads.submit(self._ask, person, at.timestamp())

    def told(self) -> dict[str, list[float]]:
        """Seconds from each event to where it was seen; under `never`, how long was waited."""
        return self._seen

    def _ask(self, person: int, began: float) -> None:
        person_id = uuid.uuid5(uuid.NAMESPACE_OID, str(person))
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while (waited := time.time() - began) < _MOST_S:
            connection.request("GET", f"/v1/profiles/person_id/{person_id}?tags=views", headers=self._headers)
            (tag,) = json.loads(connection.getresponse().read())["tags"]
            if tag["value"] == str(self._counted + 1):
                self._seen["API"].append(time.time() - began)
                break
            time.sleep(_PAUSE_S)
        else:
            self._seen["never"].append(waited)
        connection.close()

    def _read(self) -> None:
        while not self._stop.is_set():
            for records in self._consumer.poll(timeout_ms=100).values():
                for one in records:
                    message = json.loads(one.value)
                    began = self._began.get(message.get("person_id", ""))
                    if began is not None and message["tag"] == "views":
                        self._seen["topic"].append(time.time() - began)
