"""Parquet and ORC in Spark: every record keeps its place and its bytes, and damage is an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from migration.copying import copy_all
from migration.healing import heal
from migration.mapping import Cast
from migration.mapping_file import parse_mapping
from migration.reading import source_rows
from migration.requeueing import Requeued, requeue
from migration.settling import settle
from migration.sources.files import FORMATS
from migration.sources.lines import reading_session
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.contracts.schema import Column
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.sealing import unseal
from spark_jobs.storage import delta
from tests.columnar_files import (
    FIRST,
    NTZ,
    TOKEN,
    applied,
    look_at,
    mapping_of,
    mapping_to,
    put,
    records,
    table_of,
    typed_system,
    wall,
)
from tests.migration_files import OldSystem, planned

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def session(spark) -> SparkSession:
    return reading_session(spark)


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "America/New_York"])
def test_times_in_orc_are_the_same_whatever_the_zone_of_java(session, spark, tmp_path, zone) -> None:
    times = [wall("2017-07-01 12:00:00.123456"), wall("2017-11-05 01:30"), None]
    path = put(tmp_path / "a.orc", pa.table({"at": pa.array(times, NTZ), "in": pa.array([{"at": t} for t in times])}))
    mapping = mapping_to([Column("at", "timestamp", "")], [Cast("at", "at")], kind="orc")
    zones = spark._jvm.java.util.TimeZone
    before = zones.getDefault()
    assert before.hasSameRules(zones.getTimeZone("UTC"))
    zones.setDefault(zones.getTimeZone(zone))
    try:
        rows = applied(session, path, mapping).orderBy("line").select(F.col("at").cast("string"), "raw").collect()
    finally:
        zones.setDefault(before)
    assert [row.at for row in rows] == ["2017-07-01 12:00:00.123456", "2017-11-05 01:30:00", None]
    assert json.loads(rows[0].raw)["in"] == {"at": "2017-07-01 12:00:00.123456"}


@pytest.fixture
def small_blocks(spark) -> SparkSession:
    session = reading_session(spark)
    session.conf.set("spark.sql.files.maxPartitionBytes", "3000")
    session.conf.set("spark.sql.files.openCostInBytes", "3000")
    return session


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("parquet", {"row_group_size": 150, "compression": "none"}, id="row groups"),
        pytest.param("orc", {"stripe_size": 1024, "compression": "uncompressed", "batch_size": 64}, id="stripes"),
    ],
)
def test_places_are_the_same_however_many_blocks_tasks_and_files(small_blocks, tmp_path, kind, options) -> None:
    tables = {name: pa.table({"a": [f"{name}{n:05}" + "x" * (n % 50) for n in range(3_000)]}) for name in "ab"}
    paths = [put(tmp_path / f"{name}.{kind}", table, **options) for name, table in tables.items()]
    mapping = mapping_to([Column("a", "string", "")], [Cast("a", "a")], kind=kind)

    def places_in(some: Sequence[Path], cores: int, having: str = "") -> dict[tuple[str, int, int], str]:
        small_blocks.conf.set("spark.sql.leafNodeDefaultParallelism", str(cores))
        found = FORMATS[kind].read(small_blocks, [str(p) for p in some], look_at(paths[0], mapping), mapping)
        rows = found.where(F.contains("fields.f0", F.lit(having))).collect()
        assert found.rdd.getNumPartitions() > 20
        return {(Path(row.file).stem, row.block_start, row.line): row.fields.f0 for row in rows}

    both = places_in(paths, 1)
    assert places_in(paths, 7) == places_in(paths[:1], 3) | places_in(paths[1:], 3) == both
    assert places_in(paths, 1, having="77") == {place: text for place, text in both.items() if "77" in text}
    for name, table in tables.items():
        mine = {place[1:]: text for place, text in both.items() if place[0] == name}
        assert [mine[place] for place in sorted(mine)] == table["a"].to_pylist()
        if kind == "parquet":
            assert sorted(mine) == [(0, line) for line in range(1, 3_001)]
        else:
            assert len({block for block, _ in mine}) > 5


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4"])
def test_compression_changes_nothing(session, tmp_path, codec) -> None:
    mapping = parse_mapping(mapping_of(), where="m")
    plain = records(session, put(tmp_path / "a.parquet", table_of(50), compression="none"), mapping)
    packed = records(session, put(tmp_path / "b.parquet", table_of(50), compression=codec), mapping)
    assert packed.drop("file").collect() == plain.drop("file").collect()


@pytest.mark.parametrize("kind", ["parquet", "orc"])
def test_a_file_without_records_gives_none(session, tmp_path, kind) -> None:
    mapping = mapping_to([Column("a", "string", "")], [Cast("a", "a")], kind=kind)
    path = put(tmp_path / f"a.{kind}", pa.table({"a": pa.array([], pa.string())}))
    assert applied(session, path, mapping).collect() == []


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        pytest.param("parquet", ["a.b", "c`d", "e f", "_metadata", "2017"], id="Parquet"),
        pytest.param("orc", ["a.b", "e f", "ü#1", "_metadata", "2017"], id="ORC"),
        pytest.param("orc", ["_col0", "_col1", "_col2", "_col3", "_col4"], id="ORC of an old Hive"),
    ],
)
def test_another_order_of_columns_and_odd_names_change_nothing(session, tmp_path, kind, names) -> None:
    table = pa.table({name: pa.array([f"{number}"]) for number, name in enumerate(names)})
    columns = [Column(f"v{n}", "string", "") for n in range(5)]
    mapping = mapping_to(columns, [Cast(f"v{n}", name) for n, name in enumerate(names)], kind=kind)
    for number, order in enumerate((names, names[::-1])):
        (row,) = applied(session, put(tmp_path / f"{number}.{kind}", table.select(order)), mapping).collect()
        assert [row[f"v{n}"] for n in range(5)] == list("01234")
        assert json.loads(row.raw) == {name: f"{n}" for n, name in enumerate(names)}


def test_a_column_that_spark_cannot_read_is_left_alone_where_no_rule_wants_it(session, tmp_path) -> None:
    mapping = parse_mapping(mapping_of(), where="m")
    table = table_of(3, note=pa.array([1, 2, 3], pa.timestamp("ns")))
    rows = records(session, put(tmp_path / "a.parquet", table), mapping).collect()
    assert [row.fields.f1 for row in rows] == ["0", "1", "2"]
    assert "note" not in json.loads(rows[0].raw)


def flipped(path: Path, folder: Path) -> Iterator[Path]:
    """The file with one bit of a page flipped, for many bits of all its columns."""
    content, group = path.read_bytes(), pq.ParquetFile(path).metadata.row_group(0)
    for number in range(group.num_columns):
        chunk = group.column(number)
        begin = chunk.dictionary_page_offset or chunk.data_page_offset
        # The head of a page has no checksum: what is flipped there is no page any more.
        for at in range(begin + 60, begin + chunk.total_compressed_size, max(1, chunk.total_compressed_size // 6)):
            copy = folder / f"{number}-{at}.parquet"
            copy.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
            yield copy


def test_a_flipped_bit_of_a_page_is_an_error_and_not_another_row(session, spark, tmp_path) -> None:
    put(tmp_path / "made.parquet", table_of(500))
    made = spark.read.parquet(str(tmp_path / "made.parquet")).coalesce(1)
    made.write.option("compression", "none").option("parquet.enable.dictionary", "false").parquet(str(tmp_path / "by"))
    (path,) = (tmp_path / "by").glob("*.parquet")
    mapping = parse_mapping(mapping_of(), where="m")
    wanted = records(session, path, mapping).select("line", "fields").collect()
    careless = spark.newSession()
    careless.conf.set("parquet.page.verify-checksum.enabled", "false")
    (tmp_path / "flipped").mkdir()
    unseen = 0
    for copy in flipped(path, tmp_path / "flipped"):
        with pytest.raises(Py4JJavaError, match=r"could not verify page integrity|CRC checksum"):
            records(session, copy, mapping).select("line", "fields").collect()
        try:
            unseen += records(careless, copy, mapping).select("line", "fields").collect() != wanted
        except Py4JJavaError:
            continue
    assert unseen > 5  # what the checksums are for


def test_a_page_that_is_gone_is_an_error(session, tmp_path) -> None:
    path = put(tmp_path / "a.parquet", table_of(2_000), compression="none")
    mapping, content = parse_mapping(mapping_of(), where="m"), path.read_bytes()
    layout = look_at(path, mapping)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(Py4JJavaError):
        FORMATS["parquet"].read(session, [str(path)], layout, mapping).collect()


BAD = {
    "quantity": [1, -1, None, 3, 4, 5, 6],
    "household_id": ["H1", "H2", "H3", None, "null", "H6", "H1"],
    "sold_at": [FIRST, FIRST, FIRST, FIRST, FIRST, FIRST.replace(year=1999), FIRST],
    "basket_id": ["1"] * 7,
    "product_id": ["1", "2", "3", "4", "5", "6", "1"],
}


def places(work: Work) -> list[tuple[int, int, int, int]]:
    """Of each chunk: read, good, quarantined, duplicate."""
    counts = [chunk.counts for chunk in work.ledger.chunks(work.plan.plan_id)]
    return [(c.read, c.good.rows, c.quarantined, c.duplicate) for c in counts if c]


@pytest.mark.parametrize("kind", ["parquet", "orc"])
def test_every_record_of_a_chunk_has_its_place(lake, key_file, tmp_path, kind) -> None:
    old = typed_system(tmp_path / "old", kind)
    table = table_of(7, **BAD)
    if kind == "orc":
        table = table.set_column(4, "sold_at", table["sold_at"].cast(NTZ))
    put(old.export / f"a.{kind}", table)
    with planned(old, lake, key_file) as work:
        copy_all(work)
        assert places(work) == [(7, 2, 5, 0)]  # read = good + quarantined + duplicate
        settle(lake, ORDER_LINES, run_id="test")
    (row,) = delta.read(lake, ORDER_LINES).collect()
    assert (row.order_id, row.quantity, row.origin_position) == ("1", 1, 1)
    assert row.ordered_at == FIRST.replace(tzinfo=None)
    sealed = delta.read(lake, QUARANTINE_ROWS).orderBy("position").collect()
    assert [(one.position, one.reason) for one in sealed] == [
        (2, "quantity: less than 0"),
        (3, "quantity: missing"),
        (4, "household_id: missing"),
        (5, "household_id: a constant that means nobody"),
        (6, "sold_at: before 2000-01-01T00:00:00"),
    ]
    keys = load_root_keys(key_file)
    raw = [json.loads(unseal(one.sealed, keys, kid=one.kid)) for one in sealed]
    assert list(raw[0]) == table.column_names
    assert (raw[0]["quantity"], raw[1]["quantity"], raw[2]["household_id"], raw[0]["paid"]) == (-1, None, None, 1.25)
    assert raw[0]["sold_at"].rstrip("Z").replace("T", " ") == "2017-01-01 12:00:00.123456"
    with planned(old, lake, key_file) as work:
        come_in_by_a_mended_mapping(work, old)
        assert places(work) == [(7, 2, 4, 1)]


def come_in_by_a_mended_mapping(work: Work, old: OldSystem) -> None:
    """What is kept of a record is no record of such a file: it is read once more."""
    path = old.folder / "order_lines.yaml"
    given = yaml.safe_load(path.read_text())
    del given["columns"]["quantity"]["min"]
    path.write_text(yaml.safe_dump(given))
    new = replace(work, job=old.job())
    heal(new, ORDER_LINES, may_mend=True)
    assert requeue(new) == Requeued(good=1, refused=4, is_complete=True)
    settle(new.lake, ORDER_LINES, run_id="test")
    heal(new, ORDER_LINES)
    verify_table(new, new.mappings[0])
    rows = delta.read(new.lake, ORDER_LINES).select("origin_position", "quantity").collect()
    assert sorted(map(tuple, rows)) == [(1, 1), (2, -1)]


def test_files_with_other_types_of_the_same_columns_are_read_apart(lake, key_file, tmp_path) -> None:
    old = typed_system(tmp_path / "old")
    put(old.export / "a.parquet", table_of(3, quantity=[1, 2**40, 3]))
    put(old.export / "b.parquet", table_of(3, quantity=pa.array([0, 1, 2], pa.int32()), basket_id=["7", "8", "9"]))
    put(old.export / "c.parquet", table_of(3, quantity=pa.array(["1", "x", "3"]), basket_id=pa.array([1, 2, 3])))
    with planned(old, lake, key_file) as work:
        rows = source_rows(work, work.mappings[0]).groupBy("origin").agg(F.sum("quantity"), F.count("reason")).collect()
        assert sorted(tuple(row)[1:] for row in rows) == [(3, 0), (4, 1), (2**40 + 4, 0)]
        copy_all(work)
        assert places(work) == [(3, 3, 0, 0), (3, 3, 0, 0), (3, 2, 1, 0)]


def test_tokens_that_are_there_already_are_taken(lake, key_file, tmp_path) -> None:
    columns = mapping_of()["columns"] | {"subject_token": {"from": "token"}}
    old = typed_system(tmp_path / "old", columns=columns, ignore=["note", "household_id"])
    put(old.export / "a.parquet", table_of(3, token=pa.array([TOKEN, b"short", None])))
    with planned(old, lake, key_file) as work:
        copy_all(work)
    (row,) = delta.read(lake, ORDER_LINES).collect()
    assert bytes(row.subject_token) == TOKEN
    reasons = delta.read(lake, QUARANTINE_ROWS).orderBy("position").select("reason").collect()
    assert [one.reason for one in reasons] == ["token: not 16 bytes", "token: missing"]
