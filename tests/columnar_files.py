"""Columnar files of an old system: tables of order lines with types, and the mapping that reads them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.mapping import Dialect, Mapping, Rule
from migration.rules import apply_rules
from migration.sources.arrival import LATEST
from migration.sources.files import FORMATS
from migration.sources.folders import DiskFolder
from spark_jobs.contracts.core import IDENTIFIER_STRUCT
from spark_jobs.contracts.schema import Column, Table
from tests.migration_files import OldSystem, old_system

MONEY = pa.decimal128(18, 2)
NTZ, INSTANT = pa.timestamp("us"), pa.timestamp("us", "UTC")
LIST = pa.list_(
    pa.struct([("type", pa.string()), ("scope", pa.string()), ("token", pa.binary()), ("kid", pa.string())])
)
TOKEN = bytes(range(16))
TYPES = {
    "basket_id": pa.string(),
    "product_id": pa.string(),
    "store_id": pa.string(),
    "household_id": pa.string(),
    "sold_at": INSTANT,
    "quantity": pa.int64(),
    "paid": MONEY,
    "discount": MONEY,
    "note": pa.string(),
}
COLUMNS: dict[str, Any] = {
    "order_id": {"from": "basket_id"},
    "product_id": {"from": "product_id"},
    "store_id": {"from": "store_id"},
    "subject_type": {"value": "member_no"},
    "subject_scope": {"value": "grocery"},
    "subject_token": {"token": "household_id", "type": "member_no", "scope": "grocery"},
    "ordered_at": {"from": "sold_at", "since": "2000-01-01T00:00:00"},
    "ordered_date": {"day_of": "ordered_at"},
    "quantity": {"from": "quantity", "min": 0},
    "sales_value": {"from": "paid", "min": 0},
    "retail_disc": {"from": "discount"},
    "coupon_disc": {"from": "discount"},
    "coupon_match_disc": {"from": "discount"},
}
FIRST = datetime(2017, 1, 1, 12, 0, 0, 123456, UTC)
LAST = datetime(2018, 7, 1, 12, 0, 0, 123456, UTC)
# Values of one type, that type as Spark reads it: from both formats, and from Parquet.
IN_BOTH = [
    pytest.param(pa.array([True]), "boolean", id="boolean"),
    pytest.param(pa.array([1], pa.int8()), "tinyint", id="8 bits"),
    pytest.param(pa.array([1], pa.int16()), "smallint", id="16 bits"),
    pytest.param(pa.array([1], pa.int32()), "int", id="32 bits"),
    pytest.param(pa.array([1], pa.int64()), "bigint", id="64 bits"),
    pytest.param(pa.array([1.5], pa.float32()), "float", id="float"),
    pytest.param(pa.array([1.5]), "double", id="double"),
    pytest.param(pa.array([Decimal("1.50")], pa.decimal128(18, 2)), "decimal(18,2)", id="decimal"),
    pytest.param(pa.array([Decimal("1.5")], pa.decimal128(4, 1)), "decimal(4,1)", id="short decimal"),
    pytest.param(pa.array(["a"]), "string", id="text"),
    pytest.param(pa.array([b"a"]), "binary", id="bytes"),
    pytest.param(pa.array([date(2017, 1, 1)]), "date", id="day"),
    pytest.param(pa.array([FIRST.replace(tzinfo=None)], pa.timestamp("us")), "timestamp_ntz", id="time without a zone"),
    pytest.param(pa.array([[1]], pa.list_(pa.int64())), "array<bigint>", id="list"),
    pytest.param(pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int32())), "map<string,int>", id="map"),
    pytest.param(pa.array([{"x": 1, "y z": "b"}]), "struct<x:bigint,`y z`:string>", id="struct"),
    pytest.param(pa.array([[]], LIST), f"array<{IDENTIFIER_STRUCT}>", id="identifiers"),
]
IN_PARQUET = [
    pytest.param(pa.array([1], pa.uint8()), "smallint", id="8 bits unsigned"),
    pytest.param(pa.array([1], pa.uint16()), "int", id="16 bits unsigned"),
    pytest.param(pa.array([1], pa.uint32()), "bigint", id="32 bits unsigned"),
    pytest.param(pa.array([1], pa.uint64()), "decimal(20,0)", id="64 bits unsigned"),
    pytest.param(pa.array(["a"], pa.large_string()), "string", id="large text"),
    pytest.param(pa.array(["a"]).dictionary_encode(), "string", id="text of a dictionary"),
    pytest.param(pa.array(["{}"], pa.json_()), "string", id="JSON"),
    pytest.param(pa.array([b"a" * 16], pa.binary(16)), "binary", id="16 bytes"),
    pytest.param(
        pa.array([FIRST.replace(tzinfo=None)], pa.timestamp("us", "Asia/Shanghai")), "timestamp", id="instant"
    ),
    pytest.param(pa.array([datetime(2017, 1, 1, tzinfo=UTC)], pa.timestamp("ms", "UTC")), "timestamp", id="in ms"),
    pytest.param(pa.array([5], pa.duration("us")), "bigint", id="duration"),
    pytest.param(pa.nulls(1), "int", id="nulls alone"),
    pytest.param(pa.array([[1]], pa.large_list(pa.uint8())), "array<smallint>", id="list of unsigned"),
]


def wall(text: str) -> datetime:
    """A time without a zone."""
    return datetime.fromisoformat(text)


def mapping_of(kind: str = "parquet", **changes: object) -> dict[str, Any]:
    """A mapping file for these tables, as it is read from YAML."""
    given: dict[str, Any] = {"target": "core.order_lines", "files": f"*.{kind}", "format": kind, "zone": "UTC"}
    return {**given, "accepted_bad_share": 1.0, "ignore": ["note"], "columns": dict(COLUMNS), **changes}


def table_of(rows: int, **columns: Sequence[object] | pa.Array) -> pa.Table:
    """Good order lines, each of another product; `columns` replace values, or with an array the type as well."""
    values: dict[str, Any] = {
        "basket_id": [str(1 + number // 3) for number in range(rows)],
        "product_id": [str(number) for number in range(rows)],
        "store_id": ["330"] * rows,
        "household_id": [f"H{1000 + number % 7}" for number in range(rows)],
        "sold_at": [FIRST + timedelta(hours=number // 3) for number in range(rows)],
        "quantity": [number % 4 for number in range(rows)],
        "paid": [Decimal(number * 125 % 10_000).scaleb(-2) for number in range(rows)],
        "discount": [Decimal("0.00")] * rows,
        "note": [None if number % 2 else f"note {number}" for number in range(rows)],
    }
    values |= columns
    arrays = {n: v if isinstance(v, pa.Array) else pa.array(v, TYPES.get(n)) for n, v in values.items()}
    return pa.table(arrays)


def typed_system(folder: Path, kind: str = "parquet", **changes: object) -> OldSystem:
    """An old system whose mapping reads columnar files."""
    system = old_system(folder)
    (folder / "order_lines.yaml").write_text(yaml.safe_dump(mapping_of(kind, **changes)))
    return system


def put(path: Path, table: pa.Table, **options: object) -> Path:
    """Write a table in the format that the name ends with."""
    write = pq.write_table if path.suffix == ".parquet" else pa.orc.write_table
    write(table, str(path), **options)
    return path


def mapping_to(
    columns: Sequence[Column],
    rules: Sequence[Rule],
    *,
    kind: str = "parquet",
    zone: str = "UTC",
    happened_at: str = "",
) -> Mapping:
    """A mapping onto a contract of these columns alone."""
    key = (columns[0].name,)
    table = Table(name="test.values", grain="one value", key=key, columns=tuple(columns), happened_at=happened_at)
    return Mapping(table, "*", kind, Dialect(), zone, 1.0, tuple(rules), (), "test")


def look_at(path: Path, mapping: Mapping) -> Layout:
    """The layout of a file."""
    found = FORMATS[mapping.format].look(DiskFolder(path.parent), path.name, mapping)
    return Layout(found.header, found.types)


def records(session: SparkSession, path: Path, mapping: Mapping) -> DataFrame:
    """The records of a file."""
    return FORMATS[mapping.format].read(session, [str(path)], look_at(path, mapping), mapping)


def applied(session: SparkSession, path: Path, mapping: Mapping) -> DataFrame:
    """The records of a file after the rules; of an event none can be later than LAST."""
    dated = records(session, path, mapping).withColumn(LATEST, F.lit(LAST))
    return apply_rules(dated, look_at(path, mapping).header, mapping)
