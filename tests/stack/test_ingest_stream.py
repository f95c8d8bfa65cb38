"""The stream on a real broker: killed with -9 and started again, it ends with the rows of a run without a fault."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka import KafkaProducer

from services.embedded.stack import EmbeddedStack
from services.setup.resolved import environment, resolved
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.events import purchase_event_id
from spark_jobs.contracts.operations import QUARANTINE_ROWS, RAW_EVENTS, RUNS
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.ingest.job import Stream, take_in
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import fingerprint

MESSAGES = 1_200
BATCH = 400
START_S = 120.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("stream"), with_trino=False) as running:
        produce(running.kafka_bootstrap)
        yield running


def produce(bootstrap: str) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    sent = [producer.send(EVENTS_TOPIC.name, key=str(n % 7).encode(), value=message(n)) for n in range(MESSAGES)]
    producer.flush()
    assert all(future.succeeded() for future in sent)
    producer.close()


def message(n: int) -> bytes:
    if n % 100 == 99:
        return b"{broken"
    n -= n % 50 == 49  # one in fifty repeats the message before it
    identifier = {"type": "member_no", "scope": "grocery", "token": f"{n % 40:032x}", "kid": "k1"}
    line = {"product_id": str(n), "quantity": n % 5, "sales_value": f"{n / 100:.2f}", "retail_disc": "0.00"}
    line |= {"coupon_disc": "0.00", "coupon_match_disc": "0.00"}
    is_purchase = n % 3 == 0
    properties = {"order_id": str(n), "store_id": "1", "lines": [line]} if is_purchase else {"page": str(n)}
    event = {
        "event_id": purchase_event_id("grocery", str(n), "1") if is_purchase else f"view-{n}",
        "workspace_id": "grocery",
        "source": "web",
        "name": "purchase" if is_purchase else "page_view",
        "occurred_at": f"2017-11-{1 + n % 9:02d}T10:00:00.{n:06d}Z",
        "identifiers": [identifier],
        "authenticated": True,
        "properties": properties,
    }
    return json.dumps(event).encode()


def start(stack: EmbeddedStack, *more: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "spark_jobs", "ingest", "--settings", str(stack.settings_path)]
    log = (stack.layout.logs / "ingest.log").open("ab")
    return subprocess.Popen(
        [*command, "--max-messages", str(BATCH), *more],
        env=environment(resolved()),
        stdout=log,
        stderr=log,
        start_new_session=True,  # so that the kill reaches Python and its Java together
    )


def batches_committed(stack: EmbeddedStack) -> int:
    commits = Path(stack.layout.lake) / "checkpoints" / "ingest" / EVENTS_TOPIC.name / "commits"
    return sum(1 for path in commits.glob("*") if path.name.isdigit())


def kill_after(process: subprocess.Popen[bytes], stack: EmbeddedStack, *, batches: int, delay_s: float) -> None:
    until = time.monotonic() + START_S
    while batches_committed(stack) < batches:
        assert process.poll() is None, "the stream ended before it was killed"
        assert time.monotonic() < until, "the stream commits nothing"
        time.sleep(0.1)
    time.sleep(delay_s)
    assert process.poll() is None, "a fault that hits nothing does not count"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def test_a_stream_that_was_killed_ends_with_the_rows_of_a_run_without_a_fault(
    stack: EmbeddedStack, spark, tmp_path
) -> None:
    kill_after(start(stack, "--trigger-s", "1"), stack, batches=1, delay_s=random.Random(20171101).uniform(0.2, 3.0))
    assert batches_committed(stack) < MESSAGES / BATCH, "all was taken in before the kill"
    assert start(stack, "--drain").wait(timeout=300) == 0

    killed = Lake(spark, str(stack.layout.lake))
    undisturbed = Lake(spark, str(tmp_path / "undisturbed"))
    for table in (RAW_EVENTS, EVENTS, ORDERS, ORDER_LINES, QUARANTINE_ROWS, RUNS):
        delta.ensure(undisturbed, table)
    whole = spark.read.format("kafka").option("kafka.bootstrap.servers", stack.kafka_bootstrap)
    messages = whole.option("subscribe", EVENTS_TOPIC.name).option("startingOffsets", "earliest").load()
    take_in(messages, 0, Stream(undisturbed, "undisturbed", ("grocery",), stack.layout.root_key))
    for table in (RAW_EVENTS, EVENTS, ORDERS, ORDER_LINES):
        rows = fingerprint(delta.read(killed, table), table)
        assert rows.rows > 0
        assert rows == fingerprint(delta.read(undisturbed, table), table), table.name
    refused = delta.read(killed, QUARANTINE_ROWS).select("source_object", "position").collect()
    assert len(refused) == len(set(refused)) == MESSAGES // 100

    counted = delta.read(killed, RUNS).selectExpr("sum(rows_in)", "sum(rows_out + rows_quarantined + rows_duplicate)")
    assert tuple(counted.collect()[0]) == (MESSAGES, MESSAGES)


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
