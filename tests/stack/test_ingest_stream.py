"""The stream on a real broker: killed with -9 and started again, it ends with the rows of a run without a fault."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer

from services.embedded.stack import EmbeddedStack
from spark_jobs.contracts.operations import RAW_EVENTS
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from tests.streams import assert_as_undisturbed, batches_committed, kill_after, message, produce, start

MESSAGES = 1_200
BATCH = 400


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("stream"), with_trino=False) as running:
        produce(running.kafka_bootstrap, MESSAGES)
        yield running


def test_a_stream_that_was_killed_ends_with_the_rows_of_a_run_without_a_fault(
    stack: EmbeddedStack, spark, tmp_path: Path
) -> None:
    stream = start(stack, "--trigger-s", "1", "--max-messages", str(BATCH))
    kill_after(stream, stack, batches=1, delay_s=random.Random(20171101).uniform(0.2, 3.0))
    assert batches_committed(stack) < MESSAGES / BATCH, "all was taken in before the kill"
    assert start(stack, "--drain").wait(timeout=300) == 0
    assert_as_undisturbed(stack, spark, tmp_path / "undisturbed", messages=MESSAGES)


def test_a_graceful_stop_takes_in_what_has_arrived(stack: EmbeddedStack, spark) -> None:
    before = delta.read(Lake(spark, str(stack.layout.lake)), RAW_EVENTS).where("offset >= 0").collect()
    process = start(stack, "--trigger-s", "1")
    time.sleep(12)
    producer = KafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")
    producer.send(EVENTS_TOPIC.name, key=b"x", value=message(90_000)).get(timeout=30)
    producer.close()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 0
    after = delta.read(Lake(spark, str(stack.layout.lake)), RAW_EVENTS).where("offset >= 0").collect()
    assert len(after) == len(before) + 1
