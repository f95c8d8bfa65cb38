"""Views in files, shadow comparison, and steps that know how to go back; without Spark or Trino."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from migration.jobfile import Switch
from migration.questions import Question, load_questions
from migration.shadowing import check_equal, compare
from migration.switching import Step, run_steps
from migration.views import read_body
from spark_jobs.errors import TerminalError
from tests.migration_files import MAPPINGS, old_system
from trino_catalog.connection import Trino

VIEW = """-- A view; of {side}.
CREATE OR REPLACE VIEW lake_admin.sales.purchases SECURITY DEFINER AS
SELECT '{side}' AS side"""


class Cursor:
    """Answers by the side that a query is about; stands in for Trino."""

    description = ()

    def __init__(self, sides: dict[str, list[tuple[Any, ...]]], asked: list[str]) -> None:
        self.sides, self.asked = sides, asked

    def execute(self, sql: str) -> Cursor:
        self.asked.append(sql)
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.sides["old" if "'old'" in self.asked[-1] else "new"]


class Connection:
    def __init__(self, **sides: list[tuple[Any, ...]]) -> None:
        self.sides = sides
        self.asked: list[str] = []

    def cursor(self) -> Cursor:
        return Cursor(self.sides, self.asked)


@pytest.fixture
def switch(tmp_path) -> Switch:
    for side in ("old", "new"):
        (tmp_path / side).write_text(VIEW.format(side=side))
    bodies = {side: read_body(tmp_path / side, "sales.purchases") for side in ("old", "new")}
    return Switch("sales.purchases", **bodies)


def test_a_view_file_is_a_statement_and_its_query(switch) -> None:
    assert switch.new.query == "SELECT 'new' AS side"
    assert switch.new.statement.startswith("CREATE OR REPLACE VIEW lake_admin.sales.purchases")


@pytest.mark.parametrize(
    "text", ["", "SELECT 1", "CREATE VIEW v AS SELECT 1", "CREATE OR REPLACE VIEW v AS SELECT 1; DROP TABLE x"]
)
def test_a_file_that_is_not_one_view_is_refused(tmp_path, text) -> None:
    (tmp_path / "v.sql").write_text(text)
    with pytest.raises(TerminalError, match="is not one CREATE OR REPLACE VIEW"):
        read_body(tmp_path / "v.sql", "sales.purchases")


def test_what_readers_need_is_read_with_the_job_before_anything_is_planned(tmp_path) -> None:
    cutover = {"view": "sales.purchases", "new": "new.sql", "old": "old.sql"}
    old = old_system(tmp_path, cutover=cutover, shadow="shadow.yaml")
    (tmp_path / "old.sql").write_text(VIEW.format(side="old").replace("sales.purchases", "sales.returns"))
    with pytest.raises(TerminalError) as error:
        old.job()
    for said in (
        "new.sql cannot be read: No such file",
        "old.sql makes lake_admin.sales.returns, wanted lake_admin.sales.purchases",
        "shadow.yaml cannot be read: No such file",
    ):
        assert said in str(error.value)


def test_a_shadow_run_needs_two_bodies(tmp_path) -> None:
    old = old_system(tmp_path, shadow=str(MAPPINGS / "shadow.yaml"))
    with pytest.raises(TerminalError, match="`shadow` compares the two bodies of `cutover`, which is missing"):
        old.job()


@pytest.mark.parametrize(
    ("new", "is_equal"),
    [
        pytest.param([("b", 2), ("a", 1)], True, id="another order is equal"),
        pytest.param([("a", 1)], False, id="a row is lost"),
        pytest.param([("a", 1), ("b", 2), ("b", 2)], False, id="a row came twice"),
        pytest.param([("a", Decimal(1)), ("b", 2)], False, id="another type is not equal"),
        pytest.param([("a", 1), ("b", None)], False, id="null is not a value"),
        pytest.param([("a", 1), ("b ", 2)], False, id="a blank counts"),
    ],
)
def test_sides_are_compared_exactly(switch, new, is_equal) -> None:
    connection = Connection(old=[("a", 1), ("b", 2)], new=new)
    (answer,) = compare(Trino("", connection), switch, [Question("q", "SELECT * FROM purchases")])
    assert answer.is_equal is is_equal
    assert connection.asked[0].startswith("WITH purchases AS (\nSELECT 'old' AS side\n)\nSELECT")


def test_times_are_compared_to_the_microsecond(switch) -> None:
    old, new = (datetime(2017, 1, 1, 0, 0, 0, microseconds, UTC) for microseconds in (1, 2))
    client = Trino("", Connection(old=[(old,)], new=[(new,)]))
    answers = compare(client, switch, [Question("q", "SELECT 1")])
    with pytest.raises(TerminalError, match="1 of 1 shadow queries differ"):
        check_equal(answers)


def test_the_demo_s_questions_are_read() -> None:
    assert len(load_questions(MAPPINGS / "shadow.yaml")) == 2


def test_no_question_is_no_shadow_run(tmp_path) -> None:
    (tmp_path / "s.yaml").write_text("queries: []")
    with pytest.raises(TerminalError, match="holds no query"):
        load_questions(tmp_path / "s.yaml")


def test_a_failed_step_takes_back_what_was_begun_newest_first() -> None:
    seen: list[str] = []

    def step(name: str) -> Step:
        def do() -> None:
            seen.append(f"do {name}")
            if name == "c":
                raise TerminalError("no")

        return Step(name, do, lambda: seen.append(f"undo {name}"))

    with pytest.raises(TerminalError):
        run_steps([step(name) for name in "abcd"])
    assert seen == ["do a", "do b", "do c", "undo c", "undo b", "undo a"]


def test_steps_that_hold_are_not_taken_back() -> None:
    seen: list[str] = []
    run_steps([Step("a", lambda: seen.append("do"), lambda: seen.append("undo"))])
    assert seen == ["do"]
