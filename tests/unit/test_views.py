"""Files of views: what a header must say, how names follow paths, in which order views are made."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_jobs.errors import TerminalError
from trino_catalog.connection import connected, literal
from trino_catalog.definitions import load_views, read_view
from trino_catalog.registration import location_of

GOOD = """-- Visits a day. Two where it is long. Grain: day. More on it. Reads: core.sessions, marts.first.
-- Owner: analytics.
CREATE OR REPLACE VIEW lake_admin.marts.visits SECURITY DEFINER AS
SELECT a.app FROM lake.core.sessions AS a JOIN lake.marts.first AS b ON b.app = a.app
"""


def written(folder: Path, name: str, text: str) -> Path:
    schema, view = name.split(".")
    path = folder / schema / f"{view}.sql"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def view_of(name: str, source: str) -> str:
    return (
        f"-- Something. Grain: one row. Reads: {source}. Owner: data.\n"
        f"CREATE OR REPLACE VIEW lake_admin.{name} SECURITY DEFINER AS\nSELECT 1 AS one FROM lake.{source}\n"
    )


def test_the_header_says_what_the_view_is_for(tmp_path: Path) -> None:
    view = read_view(written(tmp_path, "marts.visits", GOOD))
    assert (view.title, view.grain, view.owner) == ("Visits a day", "day", "analytics")
    assert view.sources == ("core.sessions", "marts.first")
    assert view.statement.startswith("CREATE OR REPLACE VIEW")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(GOOD.replace(" Grain: day.", ""), "the header is", id="no grain"),
        pytest.param(GOOD.replace("-- Owner: analytics.", "--"), "the header is", id="no owner"),
        pytest.param(GOOD.replace(", marts.first", ""), "make them equal", id="reads more than it says"),
        pytest.param(GOOD.replace("lake_admin.", "lake."), "wanted `CREATE OR REPLACE VIEW", id="wrong catalogue"),
        pytest.param(GOOD.replace("SECURITY DEFINER ", ""), "wanted `CREATE OR REPLACE VIEW", id="no definer"),
        pytest.param(GOOD.replace("marts.visits", "marts.other"), "rename one of them", id="name is not the path"),
    ],
)
def test_a_file_that_breaks_the_rules_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = written(tmp_path, "marts.visits", text)
    with pytest.raises(TerminalError, match=complaint) as raised:
        read_view(path)
    assert str(path) in str(raised.value)


def test_a_view_comes_after_those_that_it_reads(tmp_path: Path) -> None:
    for name, source in (("a.first", "b.second"), ("b.second", "c.third"), ("c.third", "core.events")):
        written(tmp_path, name, view_of(name, source))
    assert [view.name for view in load_views(tmp_path)] == ["c.third", "b.second", "a.first"]


def test_views_that_read_each_other_are_refused(tmp_path: Path) -> None:
    for name, source in (("a.first", "b.second"), ("b.second", "a.first")):
        written(tmp_path, name, view_of(name, source))
    with pytest.raises(TerminalError, match="in a circle"):
        load_views(tmp_path)


@pytest.mark.parametrize(
    ("root", "location"),
    [
        ("/data/lake", "local:///data/lake"),
        ("file:///data/lake", "local:///data/lake"),
        ("file:/data/lake", "local:///data/lake"),
        ("hdfs://nn:8020/lake", "hdfs://nn:8020/lake"),
    ],
)
def test_a_storage_root_is_written_as_trino_wants_it(root: str, location: str) -> None:
    assert location_of(root) == location


def test_text_becomes_a_literal() -> None:
    assert literal("it's") == "'it''s'"


def test_an_address_that_is_none_is_named() -> None:
    with pytest.raises(TerminalError, match="'localhost:8080', wanted http://HOST:PORT"), connected("localhost:8080"):
        pass
