"""Facts of columns add up, and are told in words that can be compared."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from migration.columns import ColumnFacts, differences, packed, seen, shown, together, unpacked
from spark_jobs.contracts.schema import Column, Table

NAN = float("nan")


def of(kind: str, facts: ColumnFacts) -> dict[str, Any]:
    """The facts of a table's only column, as an auditor reads them."""
    return shown(table(kind), {"value": facts})["value"]


def table(kind: str) -> Table:
    return Table("core.things", "one thing", key=("value",), columns=(Column("value", kind, "value"),))


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        pytest.param((1, 2, 5), (2, 3, 9), (3, 2, 9), id="numbers"),
        pytest.param((1, None, None), (0, 3, 3), (1, 3, 3), id="one side has none but nulls"),
        pytest.param((1, None, None), (1, None, None), (2, None, None), id="both have none but nulls"),
        pytest.param((0, "Z", "é"), (0, "a", "中"), (0, "Z", "中"), id="texts go by their code points"),
    ],
)
def test_facts_of_two_sets_of_rows_are_those_of_both(one, other, both) -> None:
    for first, second in ((one, other), (other, one)):
        assert str(ColumnFacts(*first) + ColumnFacts(*second)) == str(ColumnFacts(*both))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        pytest.param("timestamp", 1_500_000_000_123_456, "2017-07-14 02:40:00.123456", id="an instant"),
        pytest.param(
            "timestamp", 10**18, "1,000,000,000,000,000,000 microseconds since 1970", id="beyond the calendar"
        ),
        pytest.param("date", -1, "1969-12-31", id="a day"),
        pytest.param("decimal(18,2)", Decimal("1.50"), "1.50", id="money"),
        pytest.param("boolean", True, "true", id="yes"),
        pytest.param("double", 0.25, "0.25", id="a part"),
        pytest.param("string", "", "", id="an empty text"),
        pytest.param("string", None, None, id="nothing"),
    ],
)
def test_an_extreme_is_shown_as_its_type_is_read(kind, value, text) -> None:
    assert of(kind, ColumnFacts(0, value, value)) == {"nulls": 0, "min": text, "max": text}


def test_a_difference_names_the_column_and_both_sides() -> None:
    said = list(differences(table("int"), {"value": ColumnFacts(1_000, 1, 2)}, {"value": ColumnFacts(0, None, None)}))
    assert said == ["column value: the source has 1,000 nulls, 1 to 2, the target 0 nulls"]


@pytest.mark.parametrize(
    ("kind", "values", "wanted"),
    [
        pytest.param("double", pa.array([NAN, 2.0, None, 1.0]), (1, 1.0, 2.0), id="what is no number is passed over"),
        pytest.param("double", pa.array([NAN]), (0, None, None), id="nothing but what is no number"),
        pytest.param("double", pa.array([-0.0]), (0, 0.0, 0.0), id="there is one zero"),
        pytest.param("decimal(4,2)", pa.array([Decimal("-1.10"), Decimal("0.20")]), (0, "-1.10", "0.20"), id="money"),
        pytest.param("string", pa.array(["é", "Z", "", None]), (1, "", "é"), id="texts go by their bytes"),
        pytest.param("boolean", pa.array([True, False]), (0, False, True), id="yes and no"),
        pytest.param("string", pa.array([None], pa.string()), (1, None, None), id="nothing"),
        pytest.param("binary", pa.array([True, None]), (1, None, None), id="of bytes only whether there are any"),
    ],
)
def test_what_a_task_has_seen_comes_back_as_it_was(kind, values, wanted) -> None:
    found = seen(table(kind), pa.RecordBatch.from_arrays([values], names=["column value"]))
    assert found == unpacked(table(kind), packed(found))
    facts = found["value"]
    shown_as = [str(one) if isinstance(one, Decimal) else one for one in (facts.lowest, facts.highest)]
    assert (facts.nulls, *map(repr, shown_as)) == (wanted[0], *map(repr, wanted[1:]))
    assert together([found, found], table(kind))["value"] == ColumnFacts(2 * facts.nulls, facts.lowest, facts.highest)
