"""What Kafka says to a known user at a foreign topic, to a wrong password, and to one without password and TLS."""

from __future__ import annotations

import contextlib
import json
import logging
import ssl
import sys
from typing import Any

from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import KafkaTimeoutError

GIVE_UP_MS = 12_000
told = json.load(sys.stdin)
trust = ssl.create_default_context(cafile="/etc/databank/databank/ca.crt")


class Causes(logging.Handler):
    """The errors that the client tells its log alone, by name."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        told = record.args if isinstance(record.args, tuple) else ()
        self.seen |= {type(one).__name__ for one in told if isinstance(one, Exception)}


def door(user: str, password: str) -> dict[str, Any]:
    """How a user comes in."""
    known = {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512", "ssl_context": trust}
    return {
        "bootstrap_servers": told["servers"],
        "bootstrap_timeout_ms": GIVE_UP_MS,
        "sasl_plain_username": user,
        "sasl_plain_password": password,
        **known,
    }


def make_topic(options: dict[str, Any]) -> None:
    """Ask for a topic."""
    with contextlib.closing(KafkaAdminClient(**options)) as admin:
        admin.create_topics([NewTopic(told["topic"], num_partitions=1, replication_factor=1)])


def send(options: dict[str, Any]) -> None:
    """Send one message."""
    with contextlib.closing(KafkaProducer(max_block_ms=20_000, **options)) as producer:
        producer.send(told["topic"], b"x").get(timeout=20)


def receive(options: dict[str, Any]) -> None:
    """Ask for one message; KeyError where none came, which is how this client says that it may not read."""
    more = {"group_id": "databank-smoke-stranger", "consumer_timeout_ms": 15_000, "auto_offset_reset": "earliest"}
    with contextlib.closing(KafkaConsumer(told["topic"], **more, **options)) as consumer:
        if next(iter(consumer), None) is None:
            raise KeyError(told["topic"])


def refused(act: Any, options: dict[str, Any]) -> str:  # noqa: ANN401 - any of the functions above
    """The name of the error that came, or what is wrong: none came; where the client gave up, why it had to."""
    causes = Causes()
    logging.getLogger("kafka").addHandler(causes)
    try:
        act(options)
    except KafkaTimeoutError:
        return f"no connection: {', '.join(sorted(causes.seen))}"
    except Exception as error:  # noqa: BLE001 - its name is the answer
        return type(error).__name__
    finally:
        logging.getLogger("kafka").removeHandler(causes)
    return "taken"


platform = door("platform", told["platform"])
make_topic(platform)
try:
    send(platform)
    smoke, plain = (
        door("smoke", told["smoke"]),
        {"bootstrap_servers": told["servers"], "bootstrap_timeout_ms": GIVE_UP_MS},
    )
    answers = {
        "its own topic, to read": refused(receive, platform),
        "another's topic, to write": refused(send, smoke),
        "another's topic, to read": refused(receive, smoke),
        "a topic of a foreign name": refused(make_topic, smoke),
        "a wrong password": refused(make_topic, door("platform", "wrong")),
        "neither password nor TLS": refused(make_topic, plain),
    }
finally:
    with contextlib.closing(KafkaAdminClient(**platform)) as admin:
        admin.delete_topics([told["topic"]])
sys.stdout.write(json.dumps(answers))
