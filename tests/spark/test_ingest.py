"""A batch of messages: every message has a place, and a batch that is repeated changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.events import purchase_event_id
from spark_jobs.contracts.operations import QUARANTINE_ROWS, RAW_EVENTS, RUNS
from spark_jobs.ingest.job import Stream, take_in
from spark_jobs.ingest.messages import parse_messages
from spark_jobs.ingest.purchases import purchase_event_id_column
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.sealing import unseal
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake

TABLES = (RAW_EVENTS, EVENTS, ORDERS, ORDER_LINES, QUARANTINE_ROWS, RUNS)
RECEIVED = datetime(2017, 11, 3, 12, tzinfo=UTC)
TOKEN = "00112233445566778899aabbccddeeff"
KAFKA = "topic string, partition int, offset bigint, timestamp timestamp, value binary"


def message(event_id: str = "e1", **changed: object) -> bytes:
    content = {
        "event_id": event_id,
        "workspace_id": "grocery",
        "source": "web",
        "name": "page_view",
        "occurred_at": "2017-11-03T10:00:00.123456Z",
        "identifiers": [{"type": "device", "scope": "web", "token": TOKEN, "kid": "k1"}],
        "authenticated": False,
        "session_key": "s1",
        "touchpoint": {"app": "shop", "terminal": "pc", "channel": "search", "campaign": None},
        "properties": {"page": "/"},
    }
    return json.dumps({**content, **changed}).encode()


def purchase(order: str = "77", **changed: object) -> bytes:
    line = {"product_id": "1", "quantity": 2, "sales_value": "0.50", "retail_disc": "0.10"}
    line |= {"coupon_disc": "0.00", "coupon_match_disc": "0.00"}
    lines = [line, {**line, "product_id": "2", "quantity": 0, "sales_value": "0.00"}]
    properties = {"order_id": order, "store_id": "9", "lines": lines}
    member = [{"type": "member_no", "scope": "grocery", "token": TOKEN, "kid": "k1"}]
    event = {"name": "purchase", "identifiers": member, "properties": properties, "authenticated": True}
    return message(purchase_event_id("grocery", order, "9"), **{**event, **changed})


@pytest.fixture
def stream(lake: Lake, key_file: Path) -> Stream:
    for table in TABLES:
        delta.ensure(lake, table)
    return Stream(lake, "ingest/databank.events/test", ("grocery",), key_file)


def batch(lake: Lake, values: Sequence[bytes | None], *, first_offset: int = 0):  # noqa: ANN201 - Spark's rows as Kafka gives them
    rows = [("databank.events", 0, first_offset + i, RECEIVED, value) for i, value in enumerate(values)]
    return lake.spark.createDataFrame(rows, KAFKA)


def counts(lake: Lake) -> dict[str, int]:
    return {table.name: delta.read(lake, table).select(F.count("*")).collect()[0][0] for table in TABLES}


def test_a_message_is_parsed_once_whatever_asks_for_its_parts(lake: Lake) -> None:
    good = parse_messages(batch(lake, [purchase()]), workspaces=("grocery",)).where("reason IS NULL")
    plan = good._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("from_json(") == 2, "the message, and what was bought"


def test_every_message_has_one_place(lake: Lake, stream: Stream) -> None:
    values = [message("a"), message("a"), purchase(), b"{broken", b"\xff\xfe", message("")]
    take_in(batch(lake, values), 0, stream)
    run = delta.read(lake, RUNS).collect()[0]
    assert (run.rows_in, run.rows_out, run.rows_duplicate, run.rows_quarantined) == (6, 2, 1, 3)
    found = counts(lake)
    assert found["raw.events"] == 3
    assert found["core.events"] == 2
    assert (found["core.orders"], found["core.order_lines"]) == (1, 2)
    assert found["quarantine.rows"] == 3


def test_a_batch_that_is_repeated_changes_nothing(lake: Lake, stream: Stream) -> None:
    values = [message("a"), purchase(), b"{broken"]
    take_in(batch(lake, values), 0, stream)
    before = counts(lake)
    take_in(batch(lake, values), 0, stream)
    assert counts(lake) == before


@pytest.mark.thorough
def test_a_lost_checkpoint_reads_again_and_doubles_nothing(lake: Lake, stream: Stream) -> None:
    values = [message("a"), purchase()]
    take_in(batch(lake, values), 0, stream)
    before = counts(lake)
    renewed = Stream(lake, "ingest/databank.events/new-checkpoint", stream.workspaces, stream.key_file)
    take_in(batch(lake, values), 0, renewed)
    assert {**counts(lake), "ops.runs": 1} == before


@pytest.mark.thorough
def test_an_event_sent_again_later_is_a_duplicate(lake: Lake, stream: Stream) -> None:
    take_in(batch(lake, [message("a"), purchase()]), 0, stream)
    take_in(batch(lake, [message("a"), purchase(), message("b")], first_offset=2), 1, stream)
    newest = delta.read(lake, RUNS).where(F.col("run_id").endswith("/1")).collect()[0]
    assert (newest.rows_in, newest.rows_out, newest.rows_duplicate) == (3, 1, 2)
    assert counts(lake)["core.order_lines"] == 2
    assert counts(lake)["raw.events"] == 5


@pytest.mark.thorough
def test_an_order_that_fits_line_by_line_but_not_together_stops_no_stream(lake: Lake, stream: Stream) -> None:
    def lines(**changed: object) -> bytes:
        line = {"product_id": "1", "quantity": 1, "sales_value": "1.00", "retail_disc": "0.00"}
        line |= {"coupon_disc": "0.00", "coupon_match_disc": "0.00", **changed}
        return purchase(properties={"order_id": "1", "store_id": "9", "lines": [line, {**line, "product_id": "2"}]})

    too_large = [lines(sales_value="6000000000000000.00"), lines(quantity=5 * 10**18)]
    take_in(batch(lake, [*too_large, purchase()]), 0, stream)
    found = delta.read(lake, QUARANTINE_ROWS).select("reason").collect()
    assert [row.reason for row in found] == ["purchase whose lines together are too large"] * 2
    assert counts(lake)["core.orders"] == 1


def test_values_arrive_as_they_were_sent(lake: Lake, stream: Stream) -> None:
    take_in(batch(lake, [message("a"), purchase()]), 0, stream)
    event = delta.read(lake, EVENTS).where("event_id = 'a'").collect()[0]
    assert event.occurred_at.replace(tzinfo=None) == datetime(2017, 11, 3, 10, 0, 0, 123456)  # noqa: DTZ001
    assert (event.subject_type, event.subject_scope, bytes(event.subject_token).hex()) == ("device", "web", TOKEN)
    assert (event.app, event.terminal, event.channel, event.campaign) == ("shop", "pc", "search", None)
    assert json.loads(event.properties) == {"page": "/"}
    order = delta.read(lake, ORDERS).collect()[0]
    assert (str(order.sales_value), str(order.discount_value), order.lines, order.quantity) == ("0.50", "0.20", 2, 2)
    assert order.event_id == purchase_event_id("grocery", "77", "9")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        pytest.param(None, "empty message", id="a tombstone"),
        pytest.param(b"{", "not a JSON object of the event schema", id="cut off"),
        pytest.param(b"\xff{}", "not UTF-8", id="wrong encoding"),
        pytest.param(message(name=""), "missing name", id="blank name"),
        pytest.param(message(workspace_id="toys"), "unknown workspace", id="workspace nobody declared"),
        pytest.param(message(occurred_at="yesterday"), "occurred_at is not a time", id="no time"),
        pytest.param(message(occurred_at="2017-11-05T10:00:00Z"), "occurred_at is in the future", id="future"),
        pytest.param(message(occurred_at="0017-11-05T10:00:00Z"), "occurred_at is before 1990", id="ancient"),
        pytest.param(
            message(identifiers=[{"type": "phone", "scope": "", "value": "+8613912345678"}]),
            "clear identifier: producers must send tokens",
            id="a clear phone number",
        ),
        pytest.param(
            message(identifiers=[{"type": "phone", "scope": "", "token": "13912345678", "kid": "k1"}]),
            "token is not 16 bytes in hex",
            id="a phone number in the token's place",
        ),
        pytest.param(purchase(identifiers=[]), "purchase without an identifier", id="nobody bought"),
        pytest.param(
            purchase(properties={"order_id": "1", "store_id": "9", "lines": []}),
            "purchase without lines",
            id="no lines",
        ),
    ],
)
def test_a_refusal_says_why(spark, value: bytes | None, reason: str) -> None:
    rows = spark.createDataFrame([("databank.events", 0, 0, RECEIVED, value)], KAFKA)
    assert [row.reason for row in parse_messages(rows, workspaces=("grocery",)).collect()] == [reason]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"sales_value": "0.505"}, id="a third decimal"),
        pytest.param({"sales_value": "-0.01"}, id="negative money"),
        pytest.param({"quantity": "two"}, id="quantity in words"),
        pytest.param({"product_id": None}, id="no product"),
    ],
)
def test_a_bad_line_refuses_its_purchase(spark, change: dict[str, object]) -> None:
    content = json.loads(purchase())
    content["properties"]["lines"][0] |= change
    rows = spark.createDataFrame([("t", 0, 0, RECEIVED, json.dumps(content).encode())], KAFKA)
    reason = parse_messages(rows, workspaces=("grocery",)).collect()[0].reason
    assert reason == "purchase line with a missing or wrong value"


def test_the_strongest_identifier_is_the_subject_and_undeclared_ones_are_parked(spark) -> None:
    other = "ffeeddccbbaa99887766554433221100"
    given = [
        {"type": "device", "scope": "web", "token": TOKEN, "kid": "k1"},
        {"type": "badge", "scope": "", "token": "x", "kid": "k1"},
        {"type": "member_no", "scope": "grocery", "token": other, "kid": "k1"},
    ]
    rows = spark.createDataFrame([("t", 0, 0, RECEIVED, message(identifiers=given))], KAFKA)
    event = parse_messages(rows, workspaces=("grocery",)).collect()[0]
    assert event.reason is None
    assert (event.subject_type, bytes(event.subject_token).hex(), event.parked) == ("member_no", other, 1)
    assert len(event.identifiers) == 2


def test_refused_bytes_are_sealed_and_can_be_opened_with_the_key(lake: Lake, stream: Stream) -> None:
    clear = message(identifiers=[{"type": "phone", "scope": "", "value": "+8613912345678"}])
    take_in(batch(lake, [clear]), 0, stream)
    row = delta.read(lake, QUARANTINE_ROWS).collect()[0]
    assert b"13912345678" not in bytes(row.sealed)
    assert unseal(bytes(row.sealed), load_root_keys(stream.key_file), kid=row.kid) == clear
    assert (row.source_object, row.position) == ("databank.events/0", 0)


def test_spark_makes_the_same_event_ids_as_python(spark) -> None:
    keys = [("grocery", str(n), str(n * 7)) for n in range(200)] + [("零售", "订单/1", "")]
    rows = spark.createDataFrame(keys, "w string, o string, s string")
    made = rows.select(
        purchase_event_id_column(F.col("w"), F.col("o"), F.col("s")).alias("id"), "w", "o", "s"
    ).collect()
    assert all(row.id == purchase_event_id(row.w, row.o, row.s) for row in made)
