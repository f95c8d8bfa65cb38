"""Typed fields: every value of a columnar file comes through exactly in the contract's type, or is refused."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.mapping import Cast, Constant, JsonOf, Rule
from migration.mapping_file import parse_mapping
from migration.sources.lines import reading_session
from spark_jobs.contracts.core import IDENTIFIER_STRUCT, MONEY
from spark_jobs.contracts.schema import Column
from tests.columnar_files import (
    FIRST,
    IN_BOTH,
    IN_PARQUET,
    INSTANT,
    LIST,
    NTZ,
    TOKEN,
    applied,
    look_at,
    mapping_of,
    mapping_to,
    put,
    table_of,
    wall,
)

pytestmark = pytest.mark.thorough

DAY = pa.date32()


def money(digits: int, decimals: int) -> pa.DataType:
    return pa.decimal128(digits, decimals)


def identifiers(token: bytes | None) -> list[dict[str, Any]]:
    return [{"type": "phone", "scope": "", "token": token, "kid": "k1"}]


# Source type, source value, contract type; then the value as Spark writes it, or why it is refused.
VALUES = [
    (pa.int64(), -(2**63), "bigint", "-9223372036854775808"),
    (pa.string(), "", "string", ""),
    (pa.bool_(), False, "boolean", "false"),
    (pa.float64(), 0.1, "double", "0.1"),
    (DAY, date(2017, 2, 28), "date", "2017-02-28"),
    (money(18, 2), Decimal("-0.01"), MONEY, "-0.01"),
    (pa.int8(), -128, "bigint", "-128"),
    (pa.int16(), 32767, "int", "32767"),
    (pa.int32(), -(2**31), "bigint", "-2147483648"),
    (pa.int32(), 2**31 - 1, MONEY, "2147483647.00"),
    (pa.int32(), 2**31 - 1, "double", "2.147483647E9"),
    (pa.float32(), 0.5, "double", "0.5"),
    (money(16, 1), Decimal("999999999999999.9"), MONEY, "999999999999999.90"),
    (money(18, 0), Decimal(10**18 - 1), "bigint", "999999999999999999"),
    (money(15, 2), Decimal("1234567890123.45"), "double", "1.23456789012345E12"),
    (pa.int64(), 2**31 - 1, "int", "2147483647"),
    (pa.int64(), 2**53, "double", "9.007199254740992E15"),
    (pa.int64(), 10**16 - 1, MONEY, "9999999999999999.00"),
    (money(20, 0), Decimal(2**63 - 1), "bigint", "9223372036854775807"),
    (money(10, 2), Decimal("7.00"), "bigint", "7"),
    (money(18, 4), Decimal("1.2500"), MONEY, "1.25"),
    (money(38, 18), Decimal("0.000000000000000001"), "string", "0.000000000000000001"),
    (pa.float64(), 2.0**62, "bigint", "4611686018427387904"),
    (pa.float64(), -(2.0**63), "bigint", "-9223372036854775808"),
    (pa.float64(), 0.1, MONEY, "0.10"),
    (pa.float32(), 0.1, MONEY, "0.10"),
    (pa.int8(), 1, "boolean", "true"),
    (pa.int64(), -7, "string", "-7"),
    (pa.bool_(), True, "string", "true"),
    (DAY, date(2017, 2, 28), "string", "2017-02-28"),
    (NTZ, wall("2017-02-28 00:00"), "date", "2017-02-28"),
    (pa.string(), " 7 ", "bigint", "7"),
    (pa.string(), "0.50", MONEY, "0.50"),
    (pa.string(), "2017-02-28", "date", "2017-02-28"),
    (pa.binary(), TOKEN, "binary", TOKEN),
    (LIST, identifiers(TOKEN), f"array<{IDENTIFIER_STRUCT}>", f"[{{phone, , {TOKEN.decode()}, k1}}]"),
    # In the mapping's zone, New York.
    (NTZ, wall("2017-07-01 00:00:00.000001"), "timestamp", "2017-07-01 04:00:00.000001"),
    (NTZ, wall("2017-01-01 00:00"), "timestamp", "2017-01-01 05:00:00"),
    (NTZ, wall("2017-11-05 01:30"), "timestamp", "2017-11-05 05:30:00"),  # the first of two
    (NTZ, wall("9999-12-31 00:00"), "timestamp", "9999-12-31 05:00:00"),
    (DAY, date(2017, 1, 1), "timestamp", "2017-01-01 05:00:00"),
]
REFUSED = [
    (pa.int64(), 2**31, "int", "not a int"),
    (pa.int64(), 2**53 + 1, "double", "not a double"),
    (pa.int64(), 2**63 - 1, "double", "not a double"),
    (pa.int64(), 10**16, MONEY, f"not a {MONEY}"),
    (money(20, 0), Decimal(2**63), "bigint", "not a bigint"),
    (money(10, 2), Decimal("7.01"), "bigint", "not a bigint"),
    (money(18, 3), Decimal("0.125"), MONEY, "more than 2 decimals"),
    (money(19, 2), Decimal("12345678901234567.00"), MONEY, f"not a {MONEY}"),
    (money(4, 3), Decimal("9.999"), "decimal(3,2)", "not a decimal(3,2)"),
    (money(38, 18), Decimal("0.100000000000000001"), "double", "not a double"),
    (pa.float64(), 2.0**63, "bigint", "not a bigint"),
    (pa.float32(), 2.0**63, "bigint", "not a bigint"),
    (pa.float64(), 0.5, "bigint", "not a bigint"),
    (pa.float64(), float("nan"), "bigint", "not a bigint"),
    (pa.float64(), float("inf"), MONEY, f"not a {MONEY}"),
    (pa.float64(), 0.125, MONEY, "more than 2 decimals"),
    (pa.float64(), 2147483647.5, "int", "not a int"),
    (pa.float32(), 2.0**31, "int", "not a int"),
    (pa.int8(), 2, "boolean", "not a boolean"),
    (NTZ, wall("2017-02-28 00:00:00.000001"), "date", "not a date"),
    (pa.string(), "7.5", "bigint", "not a bigint"),
    (pa.string(), "0.125", MONEY, "more than 2 decimals"),
    (pa.binary(), TOKEN[:15], "binary", "not 16 bytes"),
    (pa.binary(), b"", "binary", "not 16 bytes"),
    (pa.binary(), TOKEN + b"1", "binary", "not 16 bytes"),
    (LIST, identifiers(b"13800138000"), f"array<{IDENTIFIER_STRUCT}>", "a token that is not 16 bytes"),
    (LIST, identifiers(None), f"array<{IDENTIFIER_STRUCT}>", "a token that is not 16 bytes"),
    (NTZ, wall("2017-03-12 02:30"), "timestamp", "a time that America/New_York skipped"),
]
MORE_IN_PARQUET = [
    (pa.uint64(), 2**63 - 1, "bigint", "9223372036854775807"),
    (pa.uint32(), 2**32 - 1, "bigint", "4294967295"),
    (INSTANT, datetime(2017, 7, 1, 0, 0, 0, 123456, UTC), "timestamp", "2017-07-01 00:00:00.123456"),
    (INSTANT, datetime(1, 1, 1, tzinfo=UTC), "timestamp", "0001-01-01 00:00:00"),
    (DAY, date(1, 1, 1), "date", "0001-01-01"),
    (pa.binary(16), TOKEN, "binary", TOKEN),
]
REFUSED_IN_PARQUET = [
    (pa.uint64(), 2**63, "bigint", "not a bigint"),
    (pa.uint32(), 2**31, "int", "not a int"),
]
REFUSED_IN_ORC = [
    (pa.timestamp("ns"), 1_483_272_000_123_456_789, "timestamp", "more than 6 decimals"),
    (NTZ, wall("1582-10-14 00:00"), "timestamp", "before 1582-10-15, by an unknown calendar"),
    (DAY, date(1, 1, 1), "date", "before 1582-10-15, by an unknown calendar"),
]
Case = tuple[pa.DataType, Any, str, Any]


@pytest.fixture(scope="module")
def session(spark) -> SparkSession:
    return reading_session(spark)


def one_case_a_row(session: SparkSession, path: Path, cases: Sequence[Case]) -> list[tuple[Any, Any]]:
    """What became of each case: value (as text but for bytes) and reason; each has a column, null in other rows."""
    arrays = {
        f"c{n}": [value if n == row else None for row in range(len(cases))] for n, (_, value, *_) in enumerate(cases)
    }
    table = pa.table({name: pa.array(arrays[name], case[0]) for name, case in zip(arrays, cases, strict=True)})
    rules = [Cast(f"v{n}", f"c{n}") for n in range(len(cases))]
    columns = [Column(f"v{n}", case[2], "a value") for n, case in enumerate(cases)]
    mapping = mapping_to(columns, rules, kind=path.suffix.removeprefix("."), zone="America/New_York")
    rows = applied(session, put(path, table), mapping).orderBy("line")
    shown = [F.col(c.name) if c.type == "binary" else F.col(c.name).cast("string").alias(c.name) for c in columns]
    return [(row[n], row["reason"]) for n, row in enumerate(rows.select(*shown, "reason").collect())]


@pytest.mark.parametrize(
    ("kind", "cases"),
    [
        pytest.param("parquet", (VALUES + MORE_IN_PARQUET, REFUSED + REFUSED_IN_PARQUET), id="Parquet"),
        pytest.param("orc", (VALUES, REFUSED + REFUSED_IN_ORC), id="ORC"),
    ],
)
def test_every_value_is_the_same_in_the_contract_s_type_or_refused(session, tmp_path, kind, cases) -> None:
    good, bad = cases
    cases = [*good, *bad]
    found = one_case_a_row(session, tmp_path / f"a.{kind}", cases)
    for number, (case, (value, reason)) in enumerate(zip(cases, found, strict=True)):
        wanted = (case[3], None) if number < len(good) else f"c{number}: {case[3]}"
        assert (reason if number >= len(good) else (value, reason)) == wanted, case


def test_limits_json_and_constants_are_as_for_texts(session, tmp_path) -> None:
    columns = [
        Column("n", "bigint", ""),
        Column("at", "timestamp", ""),
        Column("j", "string", ""),
        Column("c", "string", ""),
    ]
    rules: list[Rule] = [
        Cast("n", "n", minimum=0.0),
        Cast("at", "at", since="2017-01-01T00:00:00", until="2018-01-01T00:00:00"),
        JsonOf("j", ("at", "empty", "n", "t")),
        Constant("c", "x"),
    ]
    times = [FIRST, FIRST, FIRST.replace(year=2016), FIRST.replace(year=2018)]
    table = pa.table(
        {"n": [1, -1, None, 2], "at": pa.array(times, INSTANT), "t": ["a", "", None, "b"], "empty": [""] * 4}
    )
    mapping = mapping_to(columns, rules, happened_at="at")  # its own limits go before those of every event
    rows = applied(session, put(tmp_path / "a.parquet", table), mapping).orderBy("line").collect()
    assert [row.reason for row in rows] == [
        *(None, "n: less than 0", "at: before 2017-01-01T00:00:00", "at: not before 2018-01-01T00:00:00"),
    ]
    assert (rows[0].j, rows[0].c) == ('{"at":"2017-01-01T12:00:00.123456Z","n":1,"t":"a"}', "x")
    assert rows[2].j == '{"at":"2016-01-01T12:00:00.123456Z"}'


def plan_of(rows: DataFrame) -> str:
    return str(rows._jdf.queryExecution().executedPlan())


def nodes(rows: DataFrame) -> set[str]:
    return set(re.findall(r"^[ :+-]*(?:\*\(\d+\) )?([A-Z]\w+)", plan_of(rows), re.MULTILINE))


READING = {"Project", "ColumnarToRow", "FileScan"}


def test_types_that_are_the_contract_s_cost_nothing_but_reading(session, tmp_path) -> None:
    kinds = {"a": "bigint", "b": "string", "c": "timestamp", "d": MONEY, "e": "date", "f": "boolean", "g": "double"}
    values = [pa.array([1]), pa.array(["x"]), pa.array([FIRST], INSTANT), pa.array([Decimal(1)], money(18, 2))]
    values += [pa.array([date(2017, 1, 1)]), pa.array([True]), pa.array([0.5])]
    path = put(tmp_path / "a.parquet", pa.table(dict(zip(kinds, values, strict=True))))
    mapping = mapping_to([Column(n, t, "") for n, t in kinds.items()], [Cast(name, name) for name in kinds])
    rows = applied(session, path, mapping).drop("raw")
    assert nodes(rows) == READING
    (top, *_) = plan_of(rows).splitlines()
    names = re.sub(r"#\d+L?", "", top).partition("Project [")[2].rstrip("]").split(", ")
    assert [name.split(" AS ")[-1] for name in names if name.split(" AS ")[-1] in kinds] == list(kinds)
    assert not re.search(r"cast\(|CASE|coalesce", top)


@pytest.mark.parametrize("kind", ["parquet", "orc"])
def test_what_a_plan_says_of_types_is_what_spark_finds(session, spark, tmp_path, kind) -> None:
    made = spark.range(3).selectExpr(
        *("cast(id as tinyint) a", "cast(id as smallint) b", "cast(id as int) c", "id d", "cast(id as float) e"),
        *("cast(id as double) f", "cast(id as decimal(9,2)) g", "cast(id as decimal(38,18)) h", "'x' i", "X'00' j"),
        *("date'2017-01-01' k", "timestamp'2017-01-01 12:00:00' l", "true m", "array(id) n", "map('k', id) o"),
        "named_struct('p', id, 'q r', array(named_struct('s', 'x'))) as p",
    )
    made.coalesce(1).write.format(kind).save(str(tmp_path / "made"))
    (path,) = (tmp_path / "made").glob(f"*.{kind}")
    layout = look_at(path, mapping_to([Column("d", "bigint", "")], [Cast("d", "d")], kind=kind))
    found = [(name, field.replace("`", "")) for name, field in zip(layout.header, layout.types, strict=True)]
    wanted = dict(getattr(session.read, kind)(str(path)).dtypes)
    if kind == "orc":
        wanted["l"] = "timestamp_ntz"  # Spark takes it for an instant, by a zone that is Java's
    assert found == list(wanted.items())


def test_the_types_of_other_writers_are_those_that_spark_finds(session, tmp_path) -> None:
    cases = [case.values for case in IN_BOTH + IN_PARQUET]
    path = put(tmp_path / "a.parquet", pa.table({f"c{n}": values for n, (values, _) in enumerate(cases)}))
    assert [kind for _, kind in session.read.parquet(str(path)).dtypes] == [str(k).replace("`", "") for _, k in cases]


@pytest.mark.parametrize("kind", ["parquet", "orc"])
def test_clear_records_meet_no_shuffle_and_no_sort(session, tmp_path, kind) -> None:
    table = table_of(3).set_column(4, "sold_at", pa.array([FIRST.replace(tzinfo=None)] * 3, NTZ))
    mapping = parse_mapping(mapping_of(kind), where="m")
    assert nodes(applied(session, put(tmp_path / f"a.{kind}", table), mapping)) == READING


def test_an_independent_mapping_says_the_same(session, tmp_path) -> None:
    """DuckDB reads and maps a sample by itself: times of New York, whole numbers of doubles, cents of 4 decimals."""
    number = 2_000
    times = [wall("2017-03-11 20:00").replace(minute=n % 60, hour=n % 24, day=1 + n % 28) for n in range(number)]
    table = table_of(number, sold_at=pa.array(times, NTZ), quantity=pa.array([n / 2 for n in range(number)]))
    paid = pa.array([Decimal(n * 5).scaleb(-4) for n in range(number)], money(18, 4))
    path = put(tmp_path / "a.parquet", table.set_column(6, "paid", paid), row_group_size=300)
    columns = [Column("at", "timestamp", "", False), Column("n", "bigint", "", False), Column("p", MONEY, "", False)]
    rules = [Cast("at", "sold_at"), Cast("n", "quantity"), Cast("p", "paid", minimum=0.5)]
    rows = applied(session, path, mapping_to(columns, rules, zone="America/New_York")).where("reason IS NULL")
    found = rows.select("line", F.unix_micros("at"), "n", "p").orderBy("line").collect()
    with duckdb.connect() as con:
        wanted = con.execute(
            "SELECT file_row_number + 1, epoch_us(timezone('America/New_York', sold_at)), quantity::BIGINT, "
            "paid::DECIMAL(18,2) FROM read_parquet(?, file_row_number = true) WHERE quantity = round(quantity) "
            "AND paid = paid::DECIMAL(18,2) AND paid >= 0.5 "
            "AND timezone('America/New_York', timezone('America/New_York', sold_at)) = sold_at ORDER BY 1",
            [str(path)],
        ).fetchall()
    assert len(wanted) > 30
    assert [tuple(row) for row in found] == wanted
