"""Kafka and HDFS while a host is away; told: what the smoke is told, `doors` and `step`.

`before` makes the topic that `without` uses: a topic of three replicas needs three brokers when it is made. `without`
knocks until a door opens or MOST_S are over, and says what each answered; `after` removes the topic.
"""

from __future__ import annotations

import contextlib
import json
import ssl
import sys
import time
from collections.abc import Callable

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from services.smoke import doors

TOPIC, MESSAGES, MOST_S = "databank-smoke-loss", 100, 120
told = json.load(sys.stdin)
step, wanted = told.pop("step"), told.pop("doors")
cluster = doors.Cluster(**told, mark=doors.new_mark())
door = {
    "bootstrap_servers": cluster.kafka["servers"].split(","),
    "security_protocol": "SASL_SSL",
    "sasl_mechanism": "SCRAM-SHA-512",
    "sasl_plain_username": cluster.kafka["user"],
    "sasl_plain_password": cluster.kafka["password"],
    "ssl_context": ssl.create_default_context(cafile=cluster.ca_file),
}


def kafka() -> str:
    """Messages that all in-sync replicas acknowledge, and that are read again."""
    sent = {f"{cluster.mark}-{number}".encode() for number in range(MESSAGES)}
    with contextlib.closing(KafkaProducer(acks="all", **door)) as producer:
        for future in [producer.send(TOPIC, value) for value in sent]:
            future.get(timeout=60)
    options = {"auto_offset_reset": "earliest", "group_id": f"{TOPIC}-{cluster.mark}", "consumer_timeout_ms": 20_000}
    with contextlib.closing(KafkaConsumer(TOPIC, **options, **door)) as consumer:
        read = {message.value for message in consumer}
    if not sent <= read:
        raise ValueError(f"{len(sent - read)} messages are missing")
    return f"{len(sent)} sent and read"


def knocked(knock: Callable[[], str]) -> str:
    """The first good answer, or the last error."""
    until = time.monotonic() + MOST_S
    while True:
        try:
            return knock()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            if time.monotonic() > until:
                return f"{type(error).__name__}: {error}"
            time.sleep(2)


if step == "without":
    knocks = {"Kafka": kafka, "HDFS": lambda: doors.hdfs_gives_back_what_it_got(cluster)}
    sys.stdout.write(json.dumps({name: knocked(knocks[name]) for name in wanted}))
else:
    with contextlib.closing(KafkaAdminClient(**door)) as admin:
        if step == "before":
            admin.create_topics([NewTopic(TOPIC, num_partitions=6, replication_factor=3)])
        else:
            admin.delete_topics([TOPIC])
    sys.stdout.write(json.dumps({}))
