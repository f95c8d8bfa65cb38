"""Views and questions agree with the contracts: they name tables and columns that exist, and are all documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.demo.asking import FOLDER as QUESTIONS
from services.setup.paths import REPO
from spark_jobs.contracts.tables import TABLES
from trino_catalog.apply import WORKSPACES
from trino_catalog.definitions import View, load_old_sides, load_views

VIEWS = load_views()
TABLE_COLUMNS = {table.name: set(table.column_names) for table in TABLES} | {
    WORKSPACES: {"workspace_id", "zone", "history_complete_since"}
}
_ALIAS = re.compile(r"\b(?:FROM|JOIN)\s+lake\.(\w+\.\w+)\s+AS\s+(\w+)")
_RELATION = re.compile(r"\blake\.(\w+\.\w+)")


def by_name(view: View) -> str:
    return view.name


@pytest.mark.parametrize("view", VIEWS, ids=by_name)
def test_a_view_reads_tables_of_contracts_or_other_views(view: View) -> None:
    assert set(view.sources) <= set(TABLE_COLUMNS) | {other.name for other in VIEWS}


@pytest.mark.parametrize("view", VIEWS, ids=by_name)
def test_a_view_names_columns_of_contracts(view: View) -> None:
    for source, alias in _ALIAS.findall(view.statement):
        used = set(re.findall(rf"\b{alias}\.(\w+)", view.statement))
        assert used <= TABLE_COLUMNS.get(source, used), f"{view.name}, {alias} = {source}"


@pytest.mark.parametrize("view", VIEWS, ids=by_name)
def test_a_view_has_no_name_of_a_table(view: View) -> None:
    assert view.name not in TABLE_COLUMNS


@pytest.mark.parametrize("view", VIEWS, ids=by_name)
def test_a_view_is_in_the_guide_with_its_grain(view: View) -> None:
    guide = (REPO / "docs" / "sql.md").read_text(encoding="utf-8")
    assert f"| `{view.name}` |" in guide


@pytest.mark.parametrize("path", sorted(QUESTIONS.glob("*.sql")), ids=lambda path: path.stem)
def test_a_question_has_a_title_and_reads_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("-- ")
    assert set(_RELATION.findall(text)) <= set(TABLE_COLUMNS) | {view.name for view in VIEWS}


def test_there_are_ten_questions() -> None:
    assert len(list(QUESTIONS.glob("*.sql"))) == 10


def test_every_old_side_belongs_to_a_view() -> None:
    assert set(load_old_sides()) <= {view.name for view in VIEWS}


def test_both_sides_of_a_switched_view_give_the_same_columns_in_the_same_order() -> None:
    new = {view.name: view for view in VIEWS}
    for name, old in load_old_sides().items():
        assert _last_names(old.statement) == _last_names(new[name].statement)


def _last_names(statement: str) -> list[str]:
    """Names of the outermost SELECT's columns, where each stands on a line of its own."""
    lines = statement[statement.rindex("\nSELECT\n") :].split("\nFROM ", maxsplit=1)[0].splitlines()[2:]
    return [re.split(r"[ .]", line.rstrip(","))[-1] for line in lines]
