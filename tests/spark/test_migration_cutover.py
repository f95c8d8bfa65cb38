"""Cut-over behind its barrier, rollback and finish, with a stand-in for Trino; the real one is asked in `stack`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import functions as F

from migration.copying import copy_all
from migration.healing import heal
from migration.history import NOT_VERIFIED, VERIFIED
from migration.settling import settle
from migration.switching import CUT_OVER, ROLLED_BACK, SHADOWED, cut_over, finish, roll_back
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction
from tests.migration_files import line, old_system, planned
from trino_catalog.connection import Trino

VIEW = "CREATE OR REPLACE VIEW lake_admin.sales.purchases SECURITY DEFINER AS\nSELECT '{side}' AS side"


class Readers:
    """What readers of the view see; stands in for Trino's connection and cursor."""

    description = ()

    def __init__(self) -> None:
        self.side = "old"
        self.is_broken = False

    def cursor(self) -> Readers:
        return self

    def execute(self, sql: str) -> Readers:
        if sql.startswith("CREATE OR REPLACE VIEW"):
            self.side = "old" if "'old'" in sql else "new"
        elif self.is_broken and self.side == "new":
            raise ConnectionError("no answer")
        return self

    def fetchall(self) -> list[Any]:
        return []


@pytest.fixture
def work(tmp_path, lake, key_file) -> Iterator[Work]:
    cutover = {"view": "sales.purchases", "new": "new.sql", "old": "old.sql"}
    old = old_system(tmp_path / "old", cutover=cutover, shadow="shadow.yaml")
    for side in ("old", "new"):
        (old.folder / f"{side}.sql").write_text(VIEW.format(side=side))
    old.put("a", [line(1), line(2)])
    with planned(old, lake, key_file) as ready:
        yield ready


@pytest.fixture
def ready(work: Work) -> Work:
    copy_all(work)
    settle(work.lake, ORDER_LINES, run_id=work.run_id)
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])
    work.ledger.record_step(work.plan.plan_id, SHADOWED, {})
    return work


def test_there_and_back_and_there_again(ready) -> None:
    readers = Readers()
    client = Trino("", readers)
    for _ in range(2):
        cut_over(ready, client)
        assert readers.side == "new"
        roll_back(ready, client)
        roll_back(ready, client)
        assert readers.side == "old"
    names = [step.name for step in ready.ledger.steps(ready.plan.plan_id)]
    assert (names.count(CUT_OVER), names.count(ROLLED_BACK)) == (2, 4)


def test_nothing_is_switched_before_everything_is_verified(work) -> None:
    readers = Readers()
    copy_all(work)
    with pytest.raises(TerminalError, match="is copied; the view stays as it is"):
        cut_over(work, Trino("", readers))
    verify_table(work, work.mappings[0])
    green = work.ledger.last_step(work.plan.plan_id, VERIFIED)
    work.ledger.record_step(work.plan.plan_id, NOT_VERIFIED, {"table": ORDER_LINES.name})
    with pytest.raises(TerminalError, match="its last verification is not green; the view stays as it is"):
        cut_over(work, Trino("", readers))
    work.ledger.record_step(work.plan.plan_id, VERIFIED, green.facts)
    with pytest.raises(TerminalError, match="has passed no shadow run"):
        cut_over(work, Trino("", readers))
    assert readers.side == "old"


def test_nothing_is_switched_when_the_stream_brought_a_key_again_after_the_verification(ready) -> None:
    rows = delta.read(ready.lake, ORDER_LINES).where("order_id = '1'")
    live = rows.withColumn("origin", F.lit("stream/databank.events/0"))
    delta.append(live, ready.lake, ORDER_LINES, once=Transaction("stream", 1))
    readers = Readers()
    with pytest.raises(TerminalError, match="holds a key twice; the view stays as it is"):
        cut_over(ready, Trino("", readers))
    assert readers.side == "old"


def test_nothing_is_switched_when_rows_changed_after_the_verification(ready) -> None:
    readers = Readers()
    ready.lake.spark.sql(f"DELETE FROM delta.`{ready.lake.path_of(ORDER_LINES)}` WHERE order_id = '1'")
    with pytest.raises(TerminalError, match="1 files with rows taken out"):
        cut_over(ready, Trino("", readers))
    assert readers.side == "old"


def test_a_view_that_does_not_answer_is_switched_back(ready) -> None:
    readers = Readers()
    readers.is_broken = True
    with pytest.raises((RetryableError, ConnectionError)):
        cut_over(ready, Trino("", readers))
    assert readers.side == "old"
    assert ready.ledger.steps(ready.plan.plan_id)[-1].name == ROLLED_BACK


def test_after_finish_there_is_no_way_back(ready) -> None:
    readers = Readers()
    client = Trino("", readers)
    with pytest.raises(TerminalError, match="was never cut over"):
        finish(ready)
    cut_over(ready, client)
    finish(ready)
    finish(ready)
    with pytest.raises(TerminalError, match="was finished at"):
        roll_back(ready, client)
    assert readers.side == "new"


def test_what_was_rolled_back_cannot_be_finished(ready) -> None:
    client = Trino("", Readers())
    cut_over(ready, client)
    roll_back(ready, client)
    with pytest.raises(TerminalError, match="is rolled back since"):
        finish(ready)
