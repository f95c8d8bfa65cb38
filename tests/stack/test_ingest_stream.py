"""The stream on a real broker: killed with -9 and started again, it ends with the rows of a run without a fault."""

from __future__ import annotations

import contextlib
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer
from pyspark.sql import SparkSession

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


@pytest.mark.thorough
def test_a_stream_that_was_killed_ends_with_the_rows_of_a_run_without_a_fault(
    stack: EmbeddedStack, spark, tmp_path: Path
) -> None:
    stream = start(stack, "--trigger-s", "1", "--max-messages", str(BATCH))
    kill_after(stream, stack, batches=1, delay_s=random.Random(20171101).uniform(0.2, 3.0))
    assert batches_committed(stack) < MESSAGES / BATCH, "all was taken in before the kill"
    assert start(stack, "--drain").wait(timeout=300) == 0
    assert_as_undisturbed(stack, spark, tmp_path / "undisturbed", messages=MESSAGES)


@pytest.mark.thorough
def test_who_asks_for_all_waits_for_the_service_and_a_graceful_stop_takes_in_the_rest(
    stack: EmbeddedStack, spark, tmp_path: Path
) -> None:
    before = taken_in(stack, spark)
    told = tmp_path / "settings.toml"
    told.write_text(f"{stack.settings_path.read_text()}\n[ingest]\nservice = true\n")
    service = start(stack, "--trigger-s", "1")
    send(stack, 90_000)
    assert start(stack, "--settings", str(told), "--drain").wait(timeout=120) == 0
    assert service.poll() is None
    assert taken_in(stack, spark) == before + 1
    send(stack, 90_001)
    service.send_signal(signal.SIGTERM)
    assert service.wait(timeout=120) == 0
    assert taken_in(stack, spark) == before + 2


def send(stack: EmbeddedStack, number: int) -> None:
    """One message, acknowledged."""
    with contextlib.closing(KafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")) as producer:
        producer.send(EVENTS_TOPIC.name, key=b"x", value=message(number)).get(timeout=30)


def taken_in(stack: EmbeddedStack, spark: SparkSession) -> int:
    """Messages in the lake."""
    return delta.read(Lake(spark, str(stack.layout.lake)), RAW_EVENTS).count()
