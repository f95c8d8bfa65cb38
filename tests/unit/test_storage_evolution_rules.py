"""What a table of an earlier release lacks, and what of it nobody but a person can mend."""

from __future__ import annotations

import pytest

from spark_jobs.contracts.schema import Column, Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage.evolution import additions

THING = Table(
    name="core.things",
    grain="one thing",
    key=("thing",),
    columns=(
        Column("shelf", "string", "where it lies"),
        Column("thing", "bigint", "its number", nullable=False),
        Column("weighed_at", "timestamp", "when, UTC"),
        Column("price", "decimal(18,2)", "in dollars"),
    ),
)
WANTED = dict(THING.types)


@pytest.mark.parametrize(
    ("lacks", "wanted"),
    [
        pytest.param((), [], id="nothing"),
        pytest.param(("shelf",), ["`shelf` string FIRST"], id="the first"),
        pytest.param(("price",), ["`price` decimal(18,2) AFTER `weighed_at`"], id="the last"),
        pytest.param(
            ("weighed_at", "price"),
            ["`weighed_at` timestamp AFTER `thing`", "`price` decimal(18,2) AFTER `weighed_at`"],
            id="one after another that is new",
        ),
    ],
)
def test_columns_are_added_where_the_contract_has_them(lacks: tuple[str, ...], wanted: list[str]) -> None:
    found = {name: kind for name, kind in WANTED.items() if name not in lacks}
    assert additions(THING, found, WANTED) == wanted


def test_columns_that_no_contract_knows_stay() -> None:
    assert additions(THING, {**WANTED, "of_a_newer_release": "string"}, WANTED) == []


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param({**WANTED, "thing": "string"}, "thing is string, wanted bigint", id="another type"),
        pytest.param({**WANTED, "price": "decimal(18,4)"}, r"price is decimal\(18,4\), wanted", id="another scale"),
        pytest.param({"shelf": "string"}, "thing is missing and may not be null", id="rows could not have it"),
    ],
)
def test_what_would_change_what_rows_say_is_refused(found: dict[str, str], said: str) -> None:
    with pytest.raises(TerminalError, match=rf"core\.things was written by another release.*{said}.*move the table"):
        additions(THING, found, WANTED)
