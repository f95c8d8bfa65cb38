"""What a shadow run leaves behind, and which one opens the way to a cut-over; without Spark or Trino."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from migration.bodies import named_in, tables_read
from migration.jobfile import Job, Switch
from migration.ledger import Plan, open_ledger
from migration.questions import Question
from migration.shadowing import check_shadow, shadow
from migration.views import Body
from migration.work import Work
from spark_jobs.errors import TerminalError
from tests.migration_files import keep_plan, old_system
from trino_catalog.connection import Trino

VERSIONS = {"core.order_lines": 7}


class Sides:
    """Both sides of the view; stands in for Trino's connection and cursor."""

    description = ()

    def __init__(self, old: int, new: int) -> None:
        self.numbers, self.asked = {"old": old, "new": new}, ""

    def cursor(self) -> Sides:
        return self

    def execute(self, sql: str) -> Sides:
        self.asked = "old" if "'old'" in sql else "new"
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [(self.numbers[self.asked],)]


@pytest.fixture
def work(tmp_path) -> Iterator[Work]:
    plan = Plan("p1", "history", "v1", "/source", "2026-01-01T00:00:00.000000Z")
    bodies = [Body(f"CREATE OR REPLACE VIEW v AS SELECT '{side}'", f"SELECT '{side}'") for side in ("new", "old")]
    job = replace(
        old_system(tmp_path).job(),
        switch=Switch("sales.purchases", *bodies),
        questions=(Question("lines", "SELECT count(*) FROM purchases"),),
    )
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as ledger:
        keep_plan(ledger, plan, [])
        yield Work(cast("Any", None), ledger, cast("Any", None), job, plan, tmp_path / "key", "test-run")


def asked(work: Work, *, old: int = 3, new: int = 3) -> None:
    shadow(work, Trino("", Sides(old, new)), versions=VERSIONS)


def test_a_green_run_opens_the_way(work) -> None:
    asked(work)
    check_shadow(work, VERSIONS)


def test_a_red_run_is_kept_and_closes_the_way_that_a_green_one_had_opened(work) -> None:
    asked(work)
    with pytest.raises(TerminalError, match="1 of 1 shadow queries differ"):
        asked(work, new=2)
    (_, red) = work.ledger.steps("p1")
    assert (red.name, red.facts["differ"], red.facts["versions"]) == ("shadowed", ["lines"], VERSIONS)
    with pytest.raises(TerminalError, match="old and new side differ in lines; nothing was switched"):
        check_shadow(work, VERSIONS)
    asked(work)
    check_shadow(work, VERSIONS)


def other_question(job: Job) -> Job:
    return replace(job, questions=(Question("lines", "SELECT count(DISTINCT order_id) FROM purchases"),))


def other_body(job: Job) -> Job:
    assert job.switch is not None
    return replace(job, switch=replace(job.switch, new=Body("CREATE OR REPLACE VIEW v AS SELECT 1", "SELECT 1")))


@pytest.mark.parametrize("changed", [other_question, other_body])
def test_a_green_run_of_other_questions_or_views_does_not_count(work, changed: Callable[[Job], Job]) -> None:
    asked(work)
    with pytest.raises(TerminalError, match="with other questions or views; nothing was switched"):
        check_shadow(replace(work, job=changed(work.job)), VERSIONS)


def test_a_green_run_does_not_count_for_what_was_verified_after_it(work) -> None:
    asked(work)
    with pytest.raises(TerminalError, match="was verified anew after its shadow run"):
        check_shadow(work, {"core.order_lines": 9})


def test_a_green_run_of_a_release_that_did_not_tie_it_to_anything_does_not_count(work) -> None:
    work.ledger.record_step("p1", "shadowed", {"rows": {"lines": 3}})
    with pytest.raises(TerminalError, match="run `migration shadow`"):
        check_shadow(work, VERSIONS)


def test_a_green_run_that_did_not_note_what_the_views_read_does_not_count(work) -> None:
    asked(work)
    (step,) = work.ledger.steps("p1")
    older = {name: fact for name, fact in step.facts.items() if name != "read"}
    work.ledger.record_step("p1", step.name, older)
    with pytest.raises(TerminalError, match="did not note in which state the views' tables were"):
        check_shadow(work, VERSIONS)


def test_a_body_reads_what_it_names_however_it_is_written_and_what_its_views_read() -> None:
    query = """WITH a AS (SELECT * FROM Lake.core.Orders, lake_admin.core.events AS e),
    b AS (SELECT "x" FROM "lake" . "core"."products" JOIN legacy.legacy.transactions ON true)
    SELECT lake.core.orders.order_id FROM lake.tags.populations"""
    named = {"core.orders", "core.events", "core.products", "tags.populations"}
    assert named_in(query) == named
    switch = Switch("sales.purchases", Body("", "SELECT 1 FROM lake.sales.purchases"), Body("", query))
    assert {table.name for table in tables_read(switch)} == {
        *("core.orders", "core.events", "core.products", "core.order_lines", "tags.person_tags", "tags.publications"),
    }
    assert tables_read(None) == []


def test_a_job_without_questions_needs_no_run(work) -> None:
    check_shadow(replace(work, job=replace(work.job, questions=())), VERSIONS)
