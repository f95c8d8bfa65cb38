"""Lines, fields and values of source files: every trap of the format ends in a value or a reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal

import pytest
import yaml
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.mapping_file import parse_mapping
from migration.rows import mapped_rows
from migration.sources.arrival import LATEST
from migration.sources.csv_lines import CsvLines
from migration.sources.folders import DiskFolder
from migration.sources.lines import position_of, read_lines, reading_session
from tests.migration_files import HEADER, MAPPINGS, line

TOKEN_BYTES = 16


PRODUCTS = (
    *("product_id", "manufacturer_id", "department", "brand", "product_category", "product_type", "package_size"),
)
Reader = Callable[..., DataFrame]


@pytest.fixture(scope="module")
def session(spark) -> SparkSession:
    return reading_session(spark)


@pytest.fixture
def read(session, tmp_path, key_file) -> Reader:
    """Rows of one file with these lines; `mapping` names the demo's mapping, `changes` replace keys of it."""

    def rows(
        *lines: bytes, header: Sequence[str] = HEADER, mapping: str = "order_lines", name: str = "a.csv", **changes: str
    ) -> DataFrame:
        path = tmp_path / name
        path.write_bytes(b"\n".join([",".join(header).encode(), *lines]) + b"\n")
        given = yaml.safe_load((MAPPINGS / f"{mapping}.yaml").read_text()) | changes
        parsed = parse_mapping(given, where="test")
        found = (
            CsvLines()
            .read(session, [str(path)], Layout(tuple(header)), parsed)
            .withColumn("origin", F.lit("migration/t/c"))
            .withColumn(LATEST, F.lit("2018-01-01 00:00:00").cast("timestamp"))
        )
        return mapped_rows(found, header, parsed, workspace="grocery", key_file=key_file)

    return rows


def utc(text: str) -> datetime:
    """A time as Spark gives it to Python: UTC without a zone."""
    return datetime.fromisoformat(text)


def test_a_good_line_becomes_a_row_of_the_contract(read) -> None:
    (row,) = read(line(5, 77, sales_value="0.50", quantity="0").encode()).collect()
    assert (row.workspace_id, row.order_id, row.product_id, row.store_id) == ("grocery", "5", "77", "330")
    assert (row.quantity, row.sales_value, row.retail_disc) == (0, Decimal("0.50"), Decimal("0.00"))
    assert (row.ordered_at, row.ordered_date) == (utc("2017-01-06 12:00"), date(2017, 1, 6))
    assert (row.subject_type, row.subject_scope, len(row.subject_token)) == ("member_no", "grocery", TOKEN_BYTES)
    assert (row.origin, row.origin_position, row.reason) == ("migration/t/c", 2, None)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(line(1).replace(",330,", ",\xff,").encode("latin-1"), "not valid UTF-8", id="invalid UTF-8"),
        pytest.param(line(1, store_id="3\x0030").encode(), "NUL byte", id="NUL"),
        pytest.param(line(1, store_id='"330').encode(), "open quote", id="open quote"),
        pytest.param(line(1).rsplit(",", 1)[0].encode(), "wanted 11 columns", id="a column too few"),
        pytest.param(line(1).encode() + b",x", "wanted 11 columns", id="a column too many"),
        pytest.param(b"", "blank line", id="blank line"),
        pytest.param(b"  ", "blank line", id="blanks only"),
        pytest.param(
            line(1, store_id="x" * (1 << 20)).encode(), "longer than 1048576 bytes; only these are kept", id="too long"
        ),
        pytest.param(line(1, basket_id="").encode(), "basket_id: missing", id="missing text"),
        pytest.param(line(1, quantity="").encode(), "quantity: missing", id="missing number"),
        pytest.param(line(1, household_id="").encode(), "household_id: missing", id="missing identifier"),
        pytest.param(
            line(1, household_id="null").encode(), "household_id: a constant that means nobody", id="nobody's number"
        ),
        pytest.param(line(1, quantity="1.5").encode(), "quantity: not a bigint", id="half a piece"),
        pytest.param(line(1, quantity="99999999999999999999").encode(), "quantity: not a bigint", id="too many pieces"),
        pytest.param(line(1, quantity="-1").encode(), "quantity: less than 0", id="negative pieces"),
        pytest.param(line(1, sales_value="-0.01").encode(), "sales_value: less than 0", id="negative money"),
        pytest.param(line(1, sales_value="1,50").encode(), "wanted 11 columns", id="decimal comma"),
        pytest.param(line(1, sales_value="NaN").encode(), "sales_value: not a decimal(18,2)", id="no number"),
        pytest.param(line(1, sales_value="0.125").encode(), "sales_value: more than 2 decimals", id="no rounding"),
        pytest.param(
            line(1, transaction_timestamp="2017-02-30 12:00:00").encode(),
            "transaction_timestamp: not a timestamp",
            id="impossible day",
        ),
        pytest.param(
            line(1, transaction_timestamp="13/02/2017").encode(),
            "transaction_timestamp: not a timestamp",
            id="another form of time",
        ),
        pytest.param(
            line(1, transaction_timestamp="1917-02-03 12:00:00").encode(),
            "transaction_timestamp: before 2000-01-01T00:00:00",
            id="ancient time",
        ),
        pytest.param(
            line(1, transaction_timestamp="2018-01-01 00:00:01").encode(),
            "transaction_timestamp: in the future: over a day after its source's time",
            id="future time",
        ),
    ],
)
def test_a_broken_line_has_its_reason_and_its_neighbours_are_good(read, content, reason) -> None:
    rows = read(line(1).encode(), content, line(3).encode()).collect()
    found = {row.line: row.reason for row in rows}
    assert found == {2: None, 3: reason, 4: None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("", None, id="unquoted empty is null"),
        pytest.param('""', "", id="quoted empty is the empty text"),
        pytest.param('"a,b"', "a,b", id="a delimiter in quotes"),
        pytest.param('"5"" pipe"', '5" pipe', id="a doubled quote"),
        pytest.param(" a ", " a ", id="blanks stay"),
        pytest.param("a\\b", "a\\b", id="a backslash is itself"),
        pytest.param("null", "null", id="the word null is text"),
        pytest.param("中文", "中文", id="Chinese"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_texts_come_through_as_they_are(read, text, value, encoding) -> None:
    content = f"1,{text},a,b,c,d,{text}".encode(encoding)
    (row,) = read(content, header=PRODUCTS, mapping="products", encoding=encoding).collect()
    assert (row.reason, row.manufacturer_id, row.package_size) == (None, value, value)


def test_what_gbk_cannot_read_is_refused(read) -> None:
    rows = read(line(1, store_id="商店").encode("gbk"), line(2).encode() + b"\xff", encoding="gbk").collect()
    assert [(row.store_id, row.reason) for row in rows] == [("商店", None), (None, "not valid GBK")]


def test_windows_line_ends_and_another_order_of_columns_change_nothing(read) -> None:
    wanted = read(line(1).encode(), line(2).encode()).drop("kid").collect()
    lines = [",".join(reversed(line(basket).split(","))).encode() + b"\r" for basket in (1, 2)]
    assert read(*lines, header=tuple(reversed(HEADER)), name="b é#1+%20.csv").drop("kid").collect() == wanted


def test_a_zone_of_the_source_is_brought_to_utc_and_skipped_hours_are_refused(read) -> None:
    times = ("2017-07-01 00:00:00", "2017-01-01 00:00:00", "2017-03-12 02:30:00")
    lines = [line(1, n, transaction_timestamp=time).encode() for n, time in enumerate(times)]
    rows = read(*lines, zone="America/New_York").collect()
    assert [row.ordered_at for row in rows[:2]] == [utc("2017-07-01 04:00"), utc("2017-01-01 05:00")]
    assert rows[2].reason == "transaction_timestamp: a time that America/New_York skipped"


def test_places_are_the_same_however_many_blocks_tasks_and_files(spark, tmp_path) -> None:
    session = reading_session(spark)
    session.conf.set("spark.sql.files.maxPartitionBytes", "64")
    session.conf.set("spark.sql.files.openCostInBytes", "64")
    texts = {f"{name}.csv": [f"{name}{number:03d}-{'x' * (number % 30)}" for number in range(60)] for name in "ab"}
    for name, lines in texts.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    rows = read_lines(session, [str(tmp_path / name) for name in texts]).collect()
    for name, lines in texts.items():
        mine = sorted((row for row in rows if row.file.endswith(name)), key=lambda row: (row.block_start, row.line))
        assert [row.value for row in mine] == lines  # nothing lost, doubled or moved
        assert len({row.block_start for row in mine}) > 5
        assert len({(row.block_start, row.line) for row in mine}) == len(lines)
        content = (tmp_path / name).read_bytes()
        for row in mine:  # a block's line N is the Nth line that begins in it (the line at its very end is still its)
            begins = content.index(row.value.encode())
            assert row.block_start < begins <= row.block_start + 64 or row.block_start == 0 >= begins - 64


def test_every_position_of_a_file_is_another_number(spark) -> None:
    block, last = 128 * 1024 * 1024, (1 << 27)
    places = spark.createDataFrame([(0, 1), (0, last), (block, 1), (block * 1000, last)], "block_start long, line long")
    found = [row[0] for row in places.select(position_of(F.col("block_start"), F.col("line"))).collect()]
    assert found == [1, last, (1 << 32) + 1, (1000 << 32) + last]


def test_a_file_of_any_name_is_read_alone_and_shown_as_its_uri(spark, tmp_path) -> None:
    """Where a name is read as a pattern, others of them match it."""
    names = ["plain.csv", "a b.csv", "100%.csv", "é中.csv", "a+b&c=d;e,f@g~h!i'j(k)*.csv", "#?[].csv", "{a,b}.csv"]
    names += ["*.csv", "[a-z].csv", "back\\slash.csv", "全角\u3000\u00a0\u0085空.csv", "😀e\u0301.csv", "\t\x01.csv"]
    names += ["12:30/x.csv"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{name!r}\n")
    session = reading_session(spark)
    for some in (*([name] for name in names), names):
        rows = read_lines(session, [f"{tmp_path}/{name}" for name in some]).collect()
        found = sorted((row.value, row.file) for row in rows)
        assert found == sorted((repr(name), DiskFolder(tmp_path).uri(name)) for name in some)


def test_nothing_clear_meets_a_shuffle_a_sort_or_a_cache(read) -> None:
    plan = read(line(1).encode())._jdf.queryExecution().executedPlan().toString()
    nodes = re.findall(r"^[ :+-]*(?:\*\(\d+\) )?([A-Z]\w+)", plan, re.MULTILINE)
    assert nodes.count("MapInArrow") == 1
    below = set(nodes[nodes.index("MapInArrow") + 1 :])
    assert below == {"Project", "Filter", "FileScan"}
