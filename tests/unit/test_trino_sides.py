"""Which body `apply` gives a switched view, and what it leaves alone; with a stand-in for Trino."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from trino_catalog.apply import create_views
from trino_catalog.connection import Trino
from trino_catalog.definitions import View
from trino_catalog.legacy_files import is_same_table, show_old_files
from trino_catalog.sides import sides

NAME, SWITCHES = "sales.purchases", "migration.switches"
NEW = View(NAME, "", "", "", ("core.order_lines",), "new body")
OLD = View(NAME, "", "", "", ("core.order_lines", "legacy.transactions"), "old body of legacy.legacy.transactions")


class Catalogue:
    """Trino with a view, the table of switches, and files of the old system; its connection and its cursor."""

    description = ()

    def __init__(self, *, body: str | None = None, noted: str | None = None, knows_switches: bool = True) -> None:
        self.body, self.noted = body, noted
        self.tables = {"core.order_lines", *([SWITCHES] if knows_switches else []), *([NAME] if body else [])}
        self.legacy: str | None = None
        self.told: list[str] = []
        self.cut_over_at = 0  # the number of the statement before which a cut-over comes in
        self.rows: list[tuple[Any, ...]] = []

    def cursor(self) -> Catalogue:
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows

    def execute(self, sql: str) -> Catalogue:
        self.told.append(sql)
        if len(self.told) == self.cut_over_at:
            self.noted, self.body = "new", "new body"
        self.rows = []
        if "information_schema.tables" in sql:
            self.rows = [tuple(name.split(".")) for name in self.tables]
        elif "max_by(side, number)" in sql:
            self.rows = [(self.noted,)]
        elif sql.startswith("SHOW CREATE VIEW"):
            self.rows = [(self.body,)]
        elif sql in (NEW.statement, OLD.statement):
            self.body = sql
        elif sql.startswith("SHOW TABLES"):
            self.rows = [("transactions",)] if self.legacy else []
        elif sql.startswith("SHOW CREATE TABLE"):
            self.rows = [(self.legacy,)]
        elif "CREATE TABLE legacy.legacy.transactions" in sql:
            self.legacy = sql
        return self


def applied(catalogue: Catalogue, *, begins_old: bool = False) -> str | None:
    """The view's body after `apply`."""
    trino = Trino("", catalogue)
    create_views(trino, [NEW], sides(trino, {NAME: OLD}, begins_old=begins_old))
    return catalogue.body


@pytest.mark.parametrize("body", [None, NEW.statement, OLD.statement])
@pytest.mark.parametrize(("noted", "wanted"), [("old", OLD.statement), ("new", NEW.statement)])
def test_the_lake_says_which_side_it_is(body, noted, wanted) -> None:
    assert applied(Catalogue(body=body, noted=noted)) == wanted


@pytest.mark.parametrize("knows_switches", [True, False])
@pytest.mark.parametrize(
    ("body", "begins_old", "wanted"),
    [
        pytest.param(OLD.statement, False, OLD.statement, id="stays on the old side"),
        pytest.param(NEW.statement, True, NEW.statement, id="stays on the new side"),
        pytest.param(None, True, OLD.statement, id="begins where an old system is shown"),
        pytest.param(None, False, NEW.statement, id="begins on the new side without one"),
    ],
)
def test_a_view_that_was_never_switched_stays_where_it_is(knows_switches, body, begins_old, wanted) -> None:
    assert applied(Catalogue(body=body, knows_switches=knows_switches), begins_old=begins_old) == wanted


@pytest.mark.parametrize("noted", ["old", None])
@pytest.mark.parametrize("number", range(1, 7))
def test_a_cut_over_that_comes_in_at_any_moment_stands_in_the_end(number, noted) -> None:
    catalogue = Catalogue(body=OLD.statement, noted=noted)
    catalogue.cut_over_at = number
    applied(catalogue)
    if len(catalogue.told) >= number:
        assert catalogue.body == NEW.statement


FOUND = """CREATE TABLE legacy.legacy.transactions (
   household_id varchar,
   store_id varchar
)
WITH (
   external_location = 'local:///export/transactions',
   format = 'CSV',
   skip_header_line_count = 1
)"""
WANTED = """-- Purchases. Grain: a line.
CREATE TABLE legacy.legacy.transactions (
    household_id varchar,
    store_id varchar
)
WITH (format = 'CSV', skip_header_line_count = 1, external_location = 'local:///export/transactions')
"""


def test_a_table_is_the_same_by_its_columns_and_properties() -> None:
    assert is_same_table(FOUND, WANTED)
    assert not is_same_table(FOUND, WANTED.replace("/export/", "/moved/"))
    assert not is_same_table(FOUND, WANTED.replace("store_id", "shop_id"))
    assert not is_same_table(FOUND, WANTED.replace("count = 1", "count = 2"))
    assert not is_same_table("CREATE VIEW x AS SELECT 1", "CREATE VIEW x AS SELECT 1")


def test_old_files_are_shown_anew_only_where_they_moved(tmp_path: Path) -> None:
    catalogue = Catalogue()
    for folder in ("a", "a", "b"):
        (tmp_path / folder / "transactions").mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "transactions" / "x.csv").touch()
        show_old_files(Trino("", catalogue), str(tmp_path / folder))
    dropped = [sql for sql in catalogue.told if sql.startswith("DROP")]
    assert dropped == ["DROP TABLE legacy.legacy.transactions"]
    assert str(tmp_path / "b") in str(catalogue.legacy)
