"""Columnar files in a plan: what their footers say, what cannot be read exactly, and what fits no rule."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest

from migration.conversions import UNREADABLE
from migration.ledger import Ledger, open_ledger
from migration.mapping_file import parse_mapping
from migration.planning import draft_plan
from migration.sources.files import FORMATS, Files
from migration.sources.folders import DiskFolder
from migration.sources.formats import Looked, UnreadableError
from spark_jobs.contracts.core import MONEY
from tests.columnar_files import COLUMNS, IN_BOTH, IN_PARQUET, TYPES, mapping_of, put, table_of, typed_system

MOMENT = datetime(2017, 1, 1, 12, 0, 0, 123456)  # noqa: DTZ001 - a time without a zone
UNREAD = [
    pytest.param(pa.array([MOMENT], pa.timestamp("ns")), "TIMESTAMP(NANOS)", id="nanoseconds"),
    pytest.param(pa.array([[MOMENT]], pa.list_(pa.timestamp("ns"))), "TIMESTAMP(NANOS)", id="nanoseconds in a list"),
    pytest.param(pa.array([time(1, 2)], pa.time64("us")), "TIME", id="time of a day"),
    pytest.param(pa.array([1.5], pa.float16()), "FLOAT16", id="half a float"),
    pytest.param(pa.array([b"a" * 16], pa.uuid()), "UUID", id="UUID"),
    pytest.param(pa.array([Decimal(1)], pa.decimal256(50, 0)), "DECIMAL", id="50 digits"),
]


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


def look(path: Path, **changes: Any) -> Looked:
    kind = path.suffix.removeprefix(".")
    mapping = parse_mapping(mapping_of(kind, **changes), where="m")
    return FORMATS[kind].look(DiskFolder(path.parent), path.name, mapping)


def refused(folder: Path, ledger: Ledger, table: pa.Table, kind: str = "parquet", **changes: object) -> str:
    """Why a plan refuses a file with this table; '' where it takes it."""
    system = typed_system(folder, kind, **changes)
    put(system.export / f"a.{kind}", table)
    draft = draft_plan(system.job(), ledger, Files(DiskFolder(system.export)))
    return draft.refused[0].reason if draft.refused else ""


@pytest.mark.parametrize("kind", ["parquet", "orc"])
def test_a_footer_says_names_types_and_records(tmp_path, kind) -> None:
    path = put(tmp_path / f"a.{kind}", table_of(10).drop(["sold_at"]))
    found = look(path)
    assert found.header == tuple(name for name in TYPES if name != "sold_at")
    assert found.types == ("string",) * 4 + ("bigint", MONEY, MONEY, "string")
    assert (found.records, found.sha256) == (10, hashlib.sha256(path.read_bytes()).hexdigest())


@pytest.mark.parametrize(("values", "kind"), IN_BOTH + IN_PARQUET)
def test_types_of_parquet_are_spark_s(tmp_path, values, kind) -> None:
    assert look(put(tmp_path / "a.parquet", pa.table({"before": pa.array([1]), "x": values}))).types == ("bigint", kind)


@pytest.mark.parametrize(("values", "kind"), IN_BOTH)
def test_types_of_orc_are_spark_s(tmp_path, values, kind) -> None:
    assert look(put(tmp_path / "a.orc", pa.table({"before": pa.array([1]), "x": values}))).types == ("bigint", kind)


@pytest.mark.parametrize(("values", "kind"), UNREAD)
def test_what_spark_does_not_read_exactly_is_said(tmp_path, values, kind) -> None:
    (_, found) = look(put(tmp_path / "a.parquet", pa.table({"before": pa.array([1]), "x": values}))).types
    assert UNREADABLE in found
    assert kind in found


def test_an_orc_file_that_spark_does_not_read_at_all_is_refused(tmp_path) -> None:
    instants = pa.array([MOMENT.replace(tzinfo=UTC)], pa.timestamp("us", "UTC"))
    with pytest.raises(UnreadableError, match=r"column 'x' is timestamp\[ns, tz=UTC\], and Spark reads no ORC file"):
        look(put(tmp_path / "a.orc", pa.table({"x": instants})))


@pytest.mark.parametrize("kind", ["parquet", "orc"])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-20], id="truncated"),
        pytest.param(lambda content: content[: len(content) // 2], id="half"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"household_id,store_id\n1,2\n" * 20, id="CSV"),
        pytest.param(lambda content: content[:-200] + b"\xff" * 100 + content[-100:], id="a torn footer"),
    ],
)
def test_a_file_that_is_torn_or_another_one_is_refused(tmp_path, kind, damage) -> None:
    path = put(tmp_path / f"a.{kind}", table_of(10))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UnreadableError, match=r"or not all of one \(.*\); export it again"):
        look(path)


def test_a_file_that_is_gone_stays_an_error_of_the_folder(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        look(tmp_path / "a.parquet")


@pytest.mark.parametrize("kind", ["parquet", "orc"])
def test_columns_that_differ_in_case_alone_are_refused(tmp_path, kind) -> None:
    table = pa.table({"id": pa.array([1]), "x": pa.array([1]), "ID": pa.array([2])})
    with pytest.raises(UnreadableError, match="columns 'ID', 'id' differ in case alone"):
        look(put(tmp_path / f"a.{kind}", table))


def old_times(path: Path, *nanos: int, **metadata: str) -> Path:
    """A file whose `sold_at` is the old INT96."""
    table = table_of(len(nanos), sold_at=pa.array(nanos, pa.timestamp("ns"))).replace_schema_metadata(metadata)
    return put(path, table, use_deprecated_int96_timestamps=True)


def sold_at(found: Looked) -> str:
    return dict(zip(found.header, found.types, strict=True))["sold_at"]


def test_old_times_are_taken_where_they_are_whole_microseconds(tmp_path) -> None:
    assert sold_at(look(old_times(tmp_path / "a.parquet", 1_483_272_000_123_456_000, 0))) == "timestamp"
    assert "INT96" in sold_at(look(old_times(tmp_path / "b.parquet", 0, 1_483_272_000_123_456_001)))


def test_old_times_far_away_are_whole_microseconds_too(tmp_path) -> None:
    far = [datetime(9999, 12, 31, 1, 2, 3, 5), datetime(1, 1, 1)]  # noqa: DTZ001
    table = table_of(2, sold_at=pa.array(far, pa.timestamp("us")))
    assert sold_at(look(put(tmp_path / "a.parquet", table, use_deprecated_int96_timestamps=True))) == "timestamp"


def test_old_times_that_no_rule_wants_are_neither_read_nor_wanted(tmp_path, ledger) -> None:
    columns = COLUMNS | {"ordered_at": {"from": "quantity"}}
    found = look(old_times(tmp_path / "a.parquet", 0), ignore=["note", "sold_at"], columns=columns)
    assert "INT96" in sold_at(found)


def test_old_times_of_spark_have_no_nanoseconds_and_those_of_impala_another_zone(tmp_path) -> None:
    path = old_times(tmp_path / "a.parquet", 1, **{"org.apache.spark.version": "2.4.8"})
    assert sold_at(look(path)) == "timestamp"
    writer = pq.ParquetFile(path).metadata.created_by.encode()
    path.write_bytes(
        path.read_bytes().replace(writer, b"impala version 4.0.0 (build 1)".ljust(len(writer))[: len(writer)])
    )
    assert "Impala" in sold_at(look(path))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        pytest.param(table_of(1), "", id="as the mapping wants it"),
        pytest.param(table_of(1).select(list(reversed(TYPES))), "", id="another order"),
        pytest.param(table_of(1).drop(["quantity"]), "column 'quantity' is missing", id="missing"),
        pytest.param(table_of(1, colour=["red"]), "column 'colour' is not mapped", id="new"),
        pytest.param(table_of(1, quantity=pa.array([1], pa.int32())), "", id="narrower"),
        pytest.param(table_of(1, quantity=pa.array(["1"])), "", id="a text, for which there are rules"),
        pytest.param(
            table_of(1, quantity=pa.array([date(2017, 1, 1)])),
            "column 'quantity' is date, which cannot become quantity (bigint) without a guess",
            id="another type",
        ),
        pytest.param(
            table_of(1, basket_id=pa.array([1.0])),
            "'basket_id' is double, which cannot become order_id",
            id="1.0 as id",
        ),
        pytest.param(
            table_of(1, household_id=pa.array([1.0])), "which cannot become a clear identifier", id="1.0 as identifier"
        ),
        pytest.param(table_of(1, household_id=pa.array([1000])), "", id="a whole number as identifier"),
        pytest.param(table_of(1, basket_id=pa.array([["1"]])), "is array<string>, which cannot become", id="list"),
        pytest.param(table_of(1, sold_at=pa.array([1483272000])), "is bigint, which cannot become", id="seconds"),
        pytest.param(table_of(1, sold_at=pa.array(["2017-01-01"])), "needs a `format`", id="a text without format"),
        pytest.param(
            table_of(1, sold_at=pa.array([MOMENT], pa.timestamp("ns"))),
            "column 'sold_at' is TIMESTAMP(NANOS), which Spark does not read exactly; export it in another type "
            "(times in microseconds), or `ignore` it",
            id="nanoseconds",
        ),
        pytest.param(table_of(1, note=pa.array([MOMENT], pa.timestamp("ns"))), "", id="nanoseconds, ignored"),
    ],
)
def test_a_plan_takes_what_has_a_way_and_refuses_the_rest_with_a_reason(tmp_path, ledger, table, says) -> None:
    reason = refused(tmp_path / "old", ledger, table)
    assert says in reason
    assert bool(says) == bool(reason)


def test_files_with_other_types_have_another_layout(tmp_path, ledger) -> None:
    system = typed_system(tmp_path / "old")
    put(system.export / "a.parquet", table_of(1))
    put(system.export / "b.parquet", table_of(1, quantity=pa.array([1], pa.int32())))
    chunks = list(Files(DiskFolder(system.export)).look(system.job().mappings, lambda *_: iter(())))
    assert len({chunk.layout for chunk in chunks}) == 2  # type: ignore[union-attr]
