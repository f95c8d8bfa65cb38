"""The view that a migration switches: what it shows on the old side, who may move it, and that readers meet no gap."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.errors import TerminalError
from spark_jobs.settings import load
from trino_catalog.apply import apply
from trino_catalog.connection import Trino, connected
from trino_catalog.definitions import load_old_sides, load_views
from trino_catalog.legacy_files import show_old_files

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from services.embedded.stack import EmbeddedStack

VIEW = "sales.purchases"
NEW_SIDE = next(view.statement for view in load_views() if view.name == VIEW)
OLD_SIDE = load_old_sides()[VIEW].statement

HEADER = (
    "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,week,"
    "transaction_timestamp"
)
GOOD = "900,330,31198570044,1095275,1,0.50,0.10,0.00,0.00,1,2017-07-02 03:30:00"
FREE = "901,330,31198570045,1095275,0,0.00,0.00,0.00,0.00,1,2017-07-02 04:00:00"
UNREADABLE = (
    "900,330,99000000001,1095275,1,0.50",
    "900,330,99000000002,1095275,1,1,99,0.00,0.00,0.00,1,2017-07-02 03:30:00",
    ",330,99000000003,1095275,1,0.50,0.10,0.00,0.00,1,2017-07-02 03:30:00",
    "900,330,,1095275,1,0.50,0.10,0.00,0.00,1,2017-07-02 03:30:00",
    "900,330,99000000004,,1,0.50,0.10,0.00,0.00,1,2017-07-02 03:30:00",
    "900,330,99000000005,1095275,two,0.50,0.10,0.00,0.00,1,2017-07-02 03:30:00",
    "900,330,99000000006,1095275,1,#REF!,0.10,0.00,0.00,1,2017-07-02 03:30:00",
    "900,330,99000000007,1095275,1,-3.00,0.10,0.00,0.00,1,2017-07-02 03:30:00",
    "900,330,99000000008,1095275,1,0.50,0.10,0.00,0.00,1,2017-02-30 12:00:00",
    "900,330,99000000009,1095275,1,0.50,0.10,0.00,0.00,1,yesterday",
    '900,"330,99000000010,1095275,1,0.50,0.10,0.00,0.00,1,2017-07-02 03:30:00',
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two files: a good line twice in each, a line with zeros, every kind of broken line."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "transactions").mkdir()
    for month, lines in (("06", (GOOD, *UNREADABLE, GOOD)), ("07", (GOOD, FREE))):
        text = "".join(f"{line}\n" for line in (HEADER, *lines))
        (folder / "transactions" / f"transactions-2017-{month}.csv").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def on_old_side(trino_stack: EmbeddedStack, trino: Trino, spark: SparkSession, exported: Path) -> Iterator[Trino]:
    """The view as a migration finds it; the new side's table is there, and empty."""
    from spark_jobs.storage.delta import Lake, replace_all

    none = spark.createDataFrame([], ORDER_LINES.ddl)
    replace_all(none, Lake(spark, str(trino_stack.layout.lake)), ORDER_LINES)
    if any(f"{schema}.{name}" == VIEW for schema, name in trino.ask(_TABLES).rows):
        trino.ask(f"DROP VIEW lake_admin.{VIEW}")
    apply(trino, load(trino_stack.settings_path), legacy=str(exported))
    yield trino
    trino.ask(f"DROP VIEW IF EXISTS lake_admin.{VIEW}")


_TABLES = "SELECT table_schema, table_name FROM lake_admin.information_schema.tables"


DROPS = re.compile(r"\bDROP\s+(TABLE|VIEW|SCHEMA)\b", re.IGNORECASE)


def statements(trino: Trino) -> dict[str, str]:
    """What Trino was asked by anybody in its last quarter of an hour, by the query's id."""
    return {
        str(query): str(text) for query, text in trino.ask("SELECT query_id, query FROM system.runtime.queries").rows
    }


def orders(trino: Trino) -> list[str]:
    """What the administration's catalogue answers, which holds no definition back."""
    return [row[0] for row in trino.ask(f"SELECT order_id FROM lake_admin.{VIEW} ORDER BY 1").rows]


def test_the_old_side_counts_what_its_readers_could_read_and_each_line_once(on_old_side: Trino) -> None:
    rows = on_old_side.ask(
        f"SELECT order_id, buyer, CAST(local_date AS varchar), quantity, CAST(sales_value AS varchar) "
        f"FROM lake_admin.{VIEW} ORDER BY 1"
    ).rows
    assert rows == (
        ("31198570044", "900", "2017-07-01", 1, "0.50"),
        ("31198570045", "901", "2017-07-02", 0, "0.00"),
    )


def test_both_sides_have_the_same_columns_and_types(on_old_side: Trino) -> None:
    old = on_old_side.ask(f"DESCRIBE lake_admin.{VIEW}").rows
    on_old_side.ask(NEW_SIDE)
    assert on_old_side.ask(f"DESCRIBE lake_admin.{VIEW}").rows == old


def test_apply_leaves_the_side_alone(trino_stack: EmbeddedStack, on_old_side: Trino, exported: Path) -> None:
    settings = load(trino_stack.settings_path)
    apply(on_old_side, settings)
    assert len(orders(on_old_side)) == 2
    on_old_side.ask(NEW_SIDE)
    apply(on_old_side, settings, legacy=str(exported))
    assert orders(on_old_side) == []
    on_old_side.ask(OLD_SIDE)
    apply(on_old_side, settings)
    assert len(orders(on_old_side)) == 2


def test_without_an_old_system_the_view_is_made_on_the_new_side(trino_stack: EmbeddedStack, on_old_side: Trino) -> None:
    on_old_side.ask(f"DROP VIEW lake_admin.{VIEW}")
    assert VIEW in apply(on_old_side, load(trino_stack.settings_path))["views"]
    assert orders(on_old_side) == []


def test_a_folder_without_files_is_named(trino_stack: EmbeddedStack, trino: Trino, tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"transactions, wanted \*\.csv"):
        apply(trino, load(trino_stack.settings_path), legacy=str(tmp_path))


def test_readers_meet_the_old_side_or_the_new_one_and_the_switch_is_seen_within_two_seconds(
    trino_stack: EmbeddedStack, on_old_side: Trino, exported: Path
) -> None:
    is_over, before = threading.Event(), set(statements(on_old_side))
    answers: list[int] = []
    failures: list[str] = []

    def read() -> None:
        with connected(trino_stack.trino_url) as reader:
            while not is_over.is_set():
                try:
                    answers.append(reader.ask(f"SELECT count(*) FROM lake.{VIEW}").one()[0])
                except Exception as error:  # noqa: BLE001 - any failure at all is what the test looks for
                    failures.append(str(error))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        until = time.monotonic() + 8
        while time.monotonic() < until:
            on_old_side.ask(NEW_SIDE)
            on_old_side.ask(OLD_SIDE)
            show_old_files(on_old_side, str(exported))  # as each run of the migration's DAG does
        on_old_side.ask(NEW_SIDE)
        time.sleep(2)
        assert on_old_side.ask(f"SELECT count(*) FROM lake.{VIEW}").one() == (0,)
    finally:
        is_over.set()
        for reader in readers:
            reader.join()
    assert failures == []
    assert set(answers) <= {0, 2}
    assert len(answers) > 2
    # A gap may be too short for these readers to meet: what would make one was never asked for.
    sent = [text for query, text in statements(on_old_side).items() if query not in before]
    assert sum(text.startswith("CREATE OR REPLACE VIEW") for text in sent) >= 3
    assert [text for text in sent if DROPS.search(text)] == []
