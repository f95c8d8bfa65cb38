"""Until it is told to stop by a file: do Kafka and the profile API refuse nothing, and how long do HDFS and Trino not
answer?

Told: `servers`, `password` of the smoke user, `hdfs_url`, `trino_url`, `profiles_url` and a `key` for it, `until`.
Writes what it counted as JSON.
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

CA = "/etc/databank/databank/ca.crt"
TOPIC = "databank-smoke-probe"
told = json.load(sys.stdin)
door: dict[str, Any] = {
    "bootstrap_servers": told["servers"],
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_plain_username": "smoke",
    "sasl_plain_password": told["password"],
    "ssl_context": ssl.create_default_context(cafile=CA),
}
stopped = threading.Event()


def outages(ask: Callable[[], None]) -> dict[str, Any]:
    """Ask twice a second; how often it failed, and the longest time without an answer."""
    failed, longest, good_at = 0, 0.0, time.monotonic()
    while not stopped.wait(0.5):
        try:
            ask()
        except (requests.RequestException, OSError):
            failed += 1
        else:
            longest, good_at = max(longest, time.monotonic() - good_at), time.monotonic()
    return {"failed": failed, "longest_s": round(max(longest, time.monotonic() - good_at), 1)}


def answers(url: str) -> None:
    """An answer of 200 within two seconds."""
    requests.get(url, timeout=2, verify=CA).raise_for_status()


def refusals() -> dict[str, Any]:
    """Ask for a profile five times a second, over a new connection each; what was no answer, and the longest wait.

    Nobody has this id, and in a cluster without tags nothing is loaded: both are answers, for which the API looked at
    the key and into its store.
    """
    asked, refused, slowest = 0, [], 0.0
    address = f"{told['profiles_url']}/v1/profiles/person_id/00000000-0000-4000-8000-000000000000"
    headers = {"Authorization": f"Bearer {told['key']}"}
    while not stopped.wait(0.2):
        began, asked = time.monotonic(), asked + 1
        try:
            answer = requests.get(address, headers=headers, timeout=60, verify=CA)
            kind = str(answer.json().get("type", "")).rpartition(":")[2]
            if kind not in {"unknown-person", "not-loaded"}:
                refused.append(f"{answer.status_code} {kind}")
        except (requests.RequestException, ValueError) as error:
            refused.append(f"{type(error).__name__}: {error}"[:200])
        slowest = max(slowest, time.monotonic() - began)
    return {"asked": asked, "refused": refused, "slowest_s": round(slowest, 1)}


def watch(name: str, count: Callable[[], dict[str, Any]]) -> threading.Thread:
    """Watch a door in a thread of its own."""
    thread = threading.Thread(target=lambda: counted.update({name: count()}))
    thread.start()
    return thread


counted: dict[str, Any] = {}
admin = KafkaAdminClient(**door)
admin.create_topics([NewTopic(TOPIC, num_partitions=6, replication_factor=3)])
admin.close()
watching = [
    watch(
        "HDFS",
        lambda: outages(lambda: answers(f"{told['hdfs_url']}/webhdfs/v1/?op=LISTSTATUS&user.name=databank")),
    ),
    watch("Trino", lambda: outages(lambda: answers(f"{told['trino_url']}/v1/info"))),
    watch("profiles", refusals),
]
sent, refused, slowest = 0, [], 0.0
producer = KafkaProducer(acks="all", **door)
while not Path(told["until"]).exists():
    began = time.monotonic()
    try:
        producer.send(TOPIC, str(sent).encode()).get(timeout=60)
        sent += 1
    except Exception as error:  # noqa: BLE001 - whatever it is, a message was refused
        refused.append(f"{type(error).__name__}: {error}"[:200])
    slowest = max(slowest, time.monotonic() - began)
    time.sleep(0.05)
producer.close()
stopped.set()
for thread in watching:
    thread.join()
# A password may have been changed meanwhile: the consumer comes in with the one that the probe began with.
consumer = KafkaConsumer(TOPIC, auto_offset_reset="earliest", group_id=TOPIC, consumer_timeout_ms=20_000, **door)
read = {int(message.value) for message in consumer}
consumer.close()
# A client of its own: each broker that the first one knew was restarted meanwhile.
admin = KafkaAdminClient(**door)
admin.delete_topics([TOPIC])
admin.close()
counted["Kafka"] = {
    "sent": sent,
    "refused": refused,
    "missing": len(set(range(sent)) - read),
    "slowest_s": round(slowest, 1),
}
sys.stdout.write(json.dumps(counted))
