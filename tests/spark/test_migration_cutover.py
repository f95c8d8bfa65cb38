"""Cut-over behind its barrier, rollback and finish, with a stand-in for Trino; the real one is asked in `stack`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F

from migration import switches
from migration.chunks import ChunkState
from migration.copying import copy_all
from migration.gate import verified_versions
from migration.healing import heal
from migration.history import NOT_VERIFIED, VERIFIED
from migration.ledger import open_ledger
from migration.settling import settle
from migration.shadowing import shadow
from migration.switches import CUT_OVER, CUTTING_OVER, FINISHED, NEW, OLD, ROLLED_BACK, newest
from migration.switching import cut_over, finish, roll_back
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction
from tests.migration_files import keep_plan, line, old_system, planned
from trino_catalog.connection import Trino

VIEW = "CREATE OR REPLACE VIEW lake_admin.sales.purchases SECURITY DEFINER AS\nSELECT '{side}' AS side"
QUESTIONS = "queries: [{name: all, sql: SELECT count(*) FROM purchases}]"


def no_stream() -> dict[int, int]:
    """The barrier where nothing is on its way."""
    return {0: 7}


class Readers:
    """What readers of the view see; stands in for Trino's connection and cursor."""

    description = ()

    def __init__(self, noted: Callable[[], list[str]] = list) -> None:
        self.side = "old"
        self.is_broken = False
        self.noted = noted
        self.switched: list[tuple[str, str]] = []  # to which side, and what had been noted last

    def cursor(self) -> Readers:
        return self

    def execute(self, sql: str) -> Readers:
        if sql.startswith("CREATE OR REPLACE VIEW"):
            self.side = "old" if "'old'" in sql else "new"
            self.switched.append((self.side, (self.noted() or [""])[-1]))
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
    (old.folder / "shadow.yaml").write_text(QUESTIONS)
    old.put("a", [line(1), line(2)])
    with planned(old, lake, key_file) as ready:
        yield ready


@pytest.fixture
def ready(work: Work) -> Work:
    switches.heal(work)
    copy_all(work)
    settle(work.lake, ORDER_LINES, run_id=work.run_id)
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])
    shadow(work, Trino("", Readers()), versions=verified_versions(work))
    return work


def steps(work: Work) -> list[str]:
    names = {CUTTING_OVER, CUT_OVER, ROLLED_BACK, FINISHED}
    return [step.name for step in work.ledger.steps(work.plan.plan_id) if step.name in names]


def test_there_and_back_and_there_again_and_a_ledger_that_was_restored_hears_of_it(ready, tmp_path) -> None:
    readers = Readers(partial(steps, ready))
    client = Trino("", readers)
    with pytest.raises(TerminalError, match="was never cut over; there is nothing to roll back"):
        roll_back(ready, client)
    for _ in range(2):
        assert cut_over(ready, client, no_stream)["barrier"] == {"0": 7}
        assert readers.side == "new"
        roll_back(ready, client)
        roll_back(ready, client)
        assert readers.side == "old"
    there_and_back = [CUTTING_OVER, CUT_OVER, ROLLED_BACK, ROLLED_BACK] * 2
    assert steps(ready) == there_and_back
    # Each is noted before its statement is sent: `apply`, which looks at the note after its own, cannot undo it.
    assert readers.switched == [("new", CUTTING_OVER), ("old", ROLLED_BACK), ("old", ROLLED_BACK)] * 2
    with open_ledger(f"sqlite:///{tmp_path}/restored.sqlite") as ledger:
        keep_plan(ledger, ready.plan, [])
        restored = replace(ready, ledger=ledger)
        assert [switches.heal(restored) for _ in range(2)] == [8, 0]
        assert steps(restored) == there_and_back
        assert restored.ledger.last_step(ready.plan.plan_id, CUT_OVER).facts["barrier"] == {"0": 7}


@pytest.mark.thorough
def test_what_the_release_before_noted_in_the_ledger_alone_is_noted_in_the_lake(work) -> None:
    work.ledger.record_step(work.plan.plan_id, CUT_OVER, {"view": "sales.purchases", "versions": {}})
    for _ in range(2):
        switches.heal(work)
    last = newest(work.lake, "sales.purchases")
    assert last is not None
    assert (last.number, last.step, last.side) == (1, CUT_OVER, NEW)
    roll_back(work, Trino("", Readers()))


def test_nothing_is_switched_before_everything_is_verified_and_compared(work) -> None:
    readers = Readers()
    client = Trino("", readers)
    copy_all(work)
    with pytest.raises(TerminalError, match="is copied; nothing was switched"):
        cut_over(work, client, no_stream)
    verify_table(work, work.mappings[0])
    green = work.ledger.last_step(work.plan.plan_id, VERIFIED)
    work.ledger.record_step(work.plan.plan_id, NOT_VERIFIED, {"table": ORDER_LINES.name})
    with pytest.raises(TerminalError, match="its last verification is not green; nothing was switched"):
        cut_over(work, client, no_stream)
    work.ledger.record_step(work.plan.plan_id, VERIFIED, green.facts)
    with pytest.raises(TerminalError, match="has passed no shadow run"):
        cut_over(work, client, no_stream)
    assert readers.side == "old"


def test_nothing_is_switched_before_the_stream_has_passed_the_barrier_and_what_it_brings_is_looked_at(ready) -> None:
    rows = delta.read(ready.lake, ORDER_LINES).where("order_id = '1'")
    live = rows.withColumn("origin", F.lit("stream/databank.events/0"))

    def behind() -> dict[int, int]:
        raise RetryableError("the stream of live events is 3 messages behind")

    def bringing_a_key_again() -> dict[int, int]:
        delta.append(live, ready.lake, ORDER_LINES, once=Transaction("stream", 1))
        return {0: 8}

    readers = Readers()
    with pytest.raises(RetryableError, match="3 messages behind"):
        cut_over(ready, Trino("", readers), behind)
    with pytest.raises(TerminalError, match="holds a key twice; nothing was switched"):
        cut_over(ready, Trino("", readers), bringing_a_key_again)
    assert (readers.side, steps(ready)) == ("old", [])


@pytest.mark.thorough
def test_nothing_is_switched_when_rows_changed_after_the_verification(ready) -> None:
    readers = Readers()
    ready.lake.spark.sql(f"DELETE FROM delta.`{ready.lake.path_of(ORDER_LINES)}` WHERE order_id = '1'")
    with pytest.raises(TerminalError, match="1 files with rows taken out"):
        cut_over(ready, Trino("", readers), no_stream)
    assert readers.side == "old"


@pytest.mark.thorough
def test_a_view_that_does_not_answer_is_switched_back_and_cannot_be_finished(ready) -> None:
    readers = Readers()
    readers.is_broken = True
    with pytest.raises((RetryableError, ConnectionError)):
        cut_over(ready, Trino("", readers), no_stream)
    assert readers.side == "old"
    assert steps(ready) == [CUTTING_OVER, ROLLED_BACK]
    last = newest(ready.lake, "sales.purchases")
    assert last is not None
    assert (last.step, last.side) == (ROLLED_BACK, OLD)
    with pytest.raises(TerminalError, match="is rolled back since"):
        finish(ready)


@pytest.mark.thorough
def test_after_finish_there_is_no_way_back_for_any_plan(ready, tmp_path: Path) -> None:
    readers = Readers()
    client = Trino("", readers)
    with pytest.raises(TerminalError, match="was never cut over"):
        finish(ready)
    cut_over(ready, client, no_stream)
    chunk = next(ready.ledger.chunks(ready.plan.plan_id))
    red = ready.ledger.move(chunk, ChunkState.FAILED, counts=chunk.counts)
    with pytest.raises(TerminalError, match="is failed"):
        finish(ready)
    copied = ready.ledger.move(red, ChunkState.COPIED, counts=chunk.counts)
    ready.ledger.move(copied, ChunkState.VERIFIED, counts=chunk.counts)
    assert finish(ready) == finish(ready)
    later = replace(ready, plan=replace(ready.plan, plan_id="later"))
    for work in (ready, later):
        with pytest.raises(TerminalError, match=r"sales\.purchases was finished at"):
            roll_back(work, client)
        with pytest.raises(TerminalError, match=r"sales\.purchases was finished at"):
            cut_over(work, client, no_stream)
    assert readers.side == "new"
