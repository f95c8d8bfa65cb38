"""Fingerprints: equal for the same rows in any order and files, different for every change that a copy could make."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spark_jobs.contracts.schema import Column, Table
from spark_jobs.storage.fingerprints import EMPTY, Fingerprint, fingerprint

TABLE = Table(
    name="core.traps",
    grain="one row with everything that goes wrong",
    key=("key",),
    columns=(
        Column("key", "bigint", "number"),
        Column("a", "string", "text"),
        Column("b", "string", "text of the same type"),
        Column("at", "timestamp", "time, UTC"),
        Column("money", "decimal(18,2)", "money"),
        Column("token", "binary", "bytes"),
        Column("identifiers", "array<struct<type:string,token:binary>>", "a nested column"),
    ),
)
MOMENT = datetime(2017, 11, 5, 6, 30, 0, 123456, UTC)
ROW: tuple[Any, ...] = (1, "a", "b", MOMENT, Decimal("1.50"), b"\x00\xff", [("phone", b"\x01")])
OTHER: tuple[Any, ...] = (2, "c", None, None, None, None, None)


def of(spark, *rows: tuple[Any, ...], parts: int = 1) -> Fingerprint:
    return fingerprint(spark.createDataFrame(list(rows), TABLE.ddl).repartition(parts), TABLE)


def changed(**values: object) -> tuple[Any, ...]:
    return tuple({**dict(zip(TABLE.column_names, ROW, strict=True)), **values}.values())


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(changed(a=None), id="null for a text"),
        pytest.param(changed(a=""), id="the empty text for a text"),
        pytest.param(changed(a="A"), id="case"),
        pytest.param(changed(a="a "), id="a blank behind"),
        pytest.param(changed(a=" a"), id="a blank before"),
        pytest.param(changed(a="b", b="a"), id="swapped columns"),
        pytest.param(changed(a="ab", b=""), id="columns that run together"),
        pytest.param(changed(a=None, b="a"), id="a value that slid over"),
        pytest.param(changed(at=MOMENT + timedelta(microseconds=1)), id="a microsecond"),
        pytest.param(changed(at=MOMENT.replace(microsecond=123000)), id="cut to milliseconds"),
        pytest.param(changed(at=MOMENT + timedelta(hours=1)), id="an hour of a zone"),
        pytest.param(changed(money=Decimal("1.51")), id="a cent"),
        pytest.param(changed(money=Decimal("-1.50")), id="a sign"),
        pytest.param(changed(money=None), id="null for zero money"),
        pytest.param(changed(token=b"\x00"), id="cut bytes"),
        pytest.param(changed(token=b""), id="empty bytes"),
        pytest.param(changed(identifiers=[]), id="an empty list"),
        pytest.param(changed(identifiers=None), id="no list"),
        pytest.param(changed(identifiers=[("phone", None)]), id="a null inside"),
        pytest.param(changed(identifiers=[("phone", b"\x01"), ("phone", b"\x01")]), id="a doubled element"),
    ],
)
def test_a_changed_row_changes_the_fingerprint(spark, other) -> None:
    assert of(spark, ROW, OTHER) != of(spark, other, OTHER)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param([changed(a=None)], [changed(a="")], id="null is not the empty text"),
        pytest.param([changed(a=None)], [changed(a="null")], id="null is not its name"),
        pytest.param([changed(a=None, b="x")], [changed(a="x", b=None)], id="a null in another column"),
        pytest.param([changed(identifiers=None)], [changed(identifiers=[])], id="no list is not an empty list"),
        pytest.param([ROW, OTHER], [ROW], id="a row lost"),
        pytest.param([ROW], [ROW, ROW], id="a row doubled"),
        pytest.param([ROW], [ROW, ROW, ROW], id="a row twice more, which bit_xor alone cannot see"),
        pytest.param([ROW, OTHER, OTHER], [ROW, ROW, OTHER], id="one doubled for another"),
        pytest.param([], [OTHER, OTHER], id="nothing and twice the same"),
    ],
)
def test_other_rows_have_another_fingerprint(spark, one, other) -> None:
    assert of(spark, *one) != of(spark, *other)


def test_order_files_and_partitions_do_not_count(spark) -> None:
    rows = [changed(key=number, a=str(number % 7)) for number in range(200)]
    assert of(spark, *rows) == of(spark, *reversed(rows), parts=7)


def test_no_rows_have_the_empty_fingerprint(spark) -> None:
    assert of(spark) == EMPTY


def test_the_sum_does_not_overflow(spark) -> None:
    rows = [changed(key=number) for number in range(64)]
    found = of(spark, *rows)
    assert found.rows == 64
    assert (
        sum((of_one.digest_sum for of_one in [of(spark, row) for row in rows[:3]]), 0)
        == of(spark, *rows[:3]).digest_sum
    )


fingerprints = st.builds(
    Fingerprint,
    st.integers(0, 10**12),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(10**30), 10**30),
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(fingerprints, fingerprints, fingerprints)
def test_fingerprints_form_a_group(a, b, c) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert a + EMPTY == a
    assert (a + b) - b == a


def test_parts_add_up_to_the_whole_and_rows_can_be_taken_out(spark) -> None:
    rows = [changed(key=number, b=None if number % 2 else "x") for number in range(30)]
    whole = of(spark, *rows)
    assert of(spark, *rows[:10]) + of(spark, *rows[10:]) == whole
    assert whole - of(spark, *rows[5:9]) == of(spark, *rows[:5], *rows[9:])
