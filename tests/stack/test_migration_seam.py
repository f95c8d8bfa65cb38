"""The live seam: events that come while history is copied are in the answer once, on either side of the switch.

A reader asks the view five times a second all the while; what it sees is the old answer or the new one, never another.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from kafka import KafkaProducer
from pyspark.sql import SparkSession

from migration import seam, switches
from migration.copying import copy_all
from migration.gate import verified_versions
from migration.healing import heal
from migration.pace import Pace
from migration.settling import settle
from migration.shadowing import shadow
from migration.switching import cut_over, roll_back
from migration.verifying import verify_table
from migration.work import Work
from services.embedded.stack import EmbeddedStack
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.events import purchase_event_id
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.ingest.backlog import Offsets
from spark_jobs.ingest.job import began_at, pass_barrier, topic_ends
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.settings import Settings, load
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from tests.migration_files import HEADER, MAPPINGS, OldSystem, line, old_system, planned
from tests.streams import start
from trino_catalog.apply import apply
from trino_catalog.connection import Trino, connected

VIEW = "sales.purchases"
HISTORY, LIVE = 600, 300  # orders of one line; the live ones begin with the last ten of history
FIRST_LIVE = HISTORY - 10
ALL = FIRST_LIVE + LIVE
POLL_S = 0.2
DISCOUNTS = ("retail_disc", "coupon_disc", "coupon_match_disc")


class Reader(threading.Thread):
    """Asks how many orders and lines there are, again and again."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.ended = threading.Event()
        self.answers: list[tuple[int, int]] = []
        self.failures: list[str] = []

    def run(self) -> None:
        with connected(self.url) as trino:
            while not self.ended.wait(POLL_S):
                try:
                    self.answers.append(asked(trino))
                except Exception as error:  # noqa: BLE001 - any failure at all is what the test looks for
                    self.failures.append(str(error))


def asked(trino: Trino, catalog: str = "lake") -> tuple[int, int]:
    """Orders and lines of the view."""
    orders, lines = trino.ask(f"SELECT count(DISTINCT order_id), count(*) FROM {catalog}.{VIEW}").one()
    return int(orders), int(lines)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path / "data") as running:
        yield running


@pytest.fixture
def old(tmp_path: Path) -> OldSystem:
    cutover = {"view": VIEW, "new": str(_views() / "views/sales/purchases.sql")}
    cutover["old"] = str(_views() / "cutover/purchases_legacy.sql")
    system = old_system(tmp_path / "old", cutover=cutover, shadow=str(MAPPINGS / "shadow.yaml"))
    for month in range(3):
        numbers = range(month * HISTORY // 3, (month + 1) * HISTORY // 3)
        system.put(str(month), [line(number, number) for number in numbers])
    return system


def _views() -> Path:
    return MAPPINGS.parents[2] / "trino_catalog"


@pytest.mark.thorough
def test_live_events_are_counted_once_before_the_switch_behind_it_and_back_again(
    stack: EmbeddedStack, spark: SparkSession, old: OldSystem
) -> None:
    settings = load(stack.settings_path)
    lake, key_file = Lake(spark, str(stack.layout.lake)), settings.root_key_file
    stream = start(stack, "--trigger-s", "1")
    with planned(old, lake, key_file) as work, connected(stack.trino_url) as trino:
        sending = threading.Thread(target=send, args=(stack, key_file, range(FIRST_LIVE, ALL)))
        seam.note(work, partial(topic_ends, settings))
        sending.start()
        copy_all(work, pace=Pace(parallel=1))
        sending.join()
        came_since_the_seam(work, pass_barrier(lake, settings))
        assert orders_in(lake) == ALL
        switches.heal(work)
        apply(trino, settings, legacy=str(old.export))
        assert asked(trino) == (ALL, ALL)  # what was written meanwhile is there, and nothing twice
        settled_and_verified(work)
        reader = Reader(stack.trino_url)
        reader.start()
        try:
            to_and_fro(work, trino, settings, legacy=str(old.export))
            send(stack, key_file, range(ALL, ALL + 1))  # written after a rollback, and seen on both sides
            pass_barrier(lake, settings)
            time.sleep(2)
            assert asked(trino) == (ALL + 1, ALL + 1)
            send(stack, key_file, range(ALL + 1, ALL + 2))  # still on its way when the cut-over begins
            cut_over(work, trino, partial(pass_barrier, lake, settings))
            assert orders_in(lake) == ALL + 2
            time.sleep(2)
            assert asked(trino) == (ALL + 2, ALL + 2)
        finally:
            reader.ended.set()
            reader.join()
    stream.terminate()
    assert stream.wait(timeout=120) == 0
    assert reader.failures == []
    assert set(reader.answers) <= {(ALL, ALL), (ALL + 1, ALL + 1), (ALL + 2, ALL + 2)}
    assert len(reader.answers) > 20


def came_since_the_seam(work: Work, passed: Offsets) -> None:
    """All live messages did, and the stream began before it, as Spark itself noted."""
    assert began_at(work.lake) == dict.fromkeys(passed, 0)
    noted = seam.check_seam(work.lake, work.job.name)
    assert noted is not None
    assert sum(passed.values()) - sum(noted.offsets.values()) == LIVE


def to_and_fro(work: Work, trino: Trino, settings: Settings, *, legacy: str) -> None:
    """The answer stays the same on both sides, and `apply` applies the body that is in force."""
    shadow(work, trino, versions=verified_versions(work))
    over = partial(cut_over, barrier=partial(pass_barrier, work.lake, settings))
    for act in (over, roll_back, over, roll_back):
        act(work, trino)
        for _ in range(2):
            time.sleep(1)
            assert asked(trino) == (ALL, ALL)
            assert sides(trino) == ({"new"} if act is over else {"old"})
            apply(trino, settings, legacy=legacy)


def settled_and_verified(work: Work) -> None:
    """History goes before the live rows that it holds as well."""
    settled = settle(work.lake, ORDER_LINES, run_id=work.run_id)
    assert settled.history == 0
    assert settled.live <= HISTORY - FIRST_LIVE  # those that came before the history that holds them
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])


def sides(trino: Trino) -> set[str]:
    """Which body the view has: the old one reads the old system's files."""
    body = str(trino.ask(f"SHOW CREATE VIEW lake_admin.{VIEW}").one()[0])
    return {"old" if "legacy.legacy" in body else "new"}


def send(stack: EmbeddedStack, key_file: Path, numbers: range) -> None:
    """Purchases as the sites' collector sends them, of the same lines that the old system would export."""
    tokeniser = Tokeniser(load_root_keys(key_file))
    with contextlib.closing(KafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")) as producer:
        for number in numbers:
            fields = dict(zip(HEADER, line(number, number).split(","), strict=True))
            token = tokeniser.token("member_no", "grocery", fields["household_id"]).hex()
            producer.send(EVENTS_TOPIC.name, key=token.encode(), value=purchase(fields, token)).get(timeout=30)


def purchase(fields: dict[str, str], token: str) -> bytes:
    """The event of an order of one line."""
    lines = [{name: fields[name] for name in ("product_id", "quantity", "sales_value", *DISCOUNTS)}]
    event = {
        "event_id": purchase_event_id("grocery", fields["basket_id"], fields["store_id"]),
        "workspace_id": "grocery",
        "source": "web",
        "name": "purchase",
        "occurred_at": fields["transaction_timestamp"].replace(" ", "T") + "Z",
        "identifiers": [{"type": "member_no", "scope": "grocery", "token": token, "kid": "k1"}],
        "authenticated": True,
        "properties": {"order_id": fields["basket_id"], "store_id": fields["store_id"], "lines": lines},
    }
    return json.dumps(event).encode()


def orders_in(lake: Lake) -> int:
    """Orders that are in the table, however they came."""
    return delta.read(lake, ORDER_LINES).select("order_id").distinct().count()
