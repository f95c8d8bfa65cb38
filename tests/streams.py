"""Streams under test: what is sent, how the stream is started and killed, and what must stand in the end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from kafka import KafkaProducer
from pyspark.sql import SparkSession

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

START_S = 120.0


def produce(bootstrap: str, messages: int) -> None:
    """Send the messages 0 until `messages`, all acknowledged."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all")
    sent = [producer.send(EVENTS_TOPIC.name, key=str(n % 7).encode(), value=message(n)) for n in range(messages)]
    producer.flush()
    assert all(future.succeeded() for future in sent)
    producer.close()


def message(n: int) -> bytes:
    """Message n: views and purchases, one in a hundred broken, one in fifty a repetition."""
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
    """Start the stream as an operator would, in a process group of its own."""
    command = [sys.executable, "-m", "spark_jobs", "ingest", "--settings", str(stack.settings_path)]
    log = (stack.layout.logs / "ingest.log").open("ab")
    return subprocess.Popen(
        [*command, *more],
        env=environment(resolved()),
        stdout=log,
        stderr=log,
        start_new_session=True,  # so that the kill reaches Python and its Java together
    )


def batches_committed(stack: EmbeddedStack) -> int:
    """Batches that the checkpoint holds as done."""
    commits = Path(stack.layout.lake) / "checkpoints" / "ingest" / EVENTS_TOPIC.name / "commits"
    return sum(1 for path in commits.glob("*") if path.name.isdigit())


def kill_after(process: subprocess.Popen[bytes], stack: EmbeddedStack, *, batches: int, delay_s: float) -> None:
    """kill -9 of the stream's Python and Java, `delay_s` after so many batches are done."""
    until = time.monotonic() + START_S
    while batches_committed(stack) < batches:
        assert process.poll() is None, "the stream ended before it was killed"
        assert time.monotonic() < until, "the stream commits nothing"
        time.sleep(0.1)
    time.sleep(delay_s)
    assert process.poll() is None, "a fault that hits nothing does not count"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def assert_as_undisturbed(stack: EmbeddedStack, spark: SparkSession, elsewhere: Path, *, messages: int) -> None:
    """The tables hold the rows of one undisturbed batch over the whole topic, and the counts add up."""
    killed = Lake(spark, str(stack.layout.lake))
    undisturbed = Lake(spark, str(elsewhere))
    for table in (RAW_EVENTS, EVENTS, ORDERS, ORDER_LINES, QUARANTINE_ROWS, RUNS):
        delta.ensure(undisturbed, table)
    source = spark.read.format("kafka").option("kafka.bootstrap.servers", stack.kafka_bootstrap)
    whole = source.option("subscribe", EVENTS_TOPIC.name).option("startingOffsets", "earliest").load()
    take_in(whole, 0, Stream(undisturbed, "undisturbed", ("grocery",), stack.layout.root_key))
    for table in (RAW_EVENTS, EVENTS, ORDERS, ORDER_LINES):
        rows = fingerprint(delta.read(killed, table), table)
        assert rows.rows > 0
        assert rows == fingerprint(delta.read(undisturbed, table), table), table.name
    refused = delta.read(killed, QUARANTINE_ROWS).select("source_object", "position").collect()
    assert len(refused) == len(set(refused)) == messages // 100

    counted = delta.read(killed, RUNS).selectExpr("sum(rows_in)", "sum(rows_out + rows_quarantined + rows_duplicate)")
    assert tuple(counted.collect()[0]) == (messages, messages)
