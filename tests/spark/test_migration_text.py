"""Lines of text and CSV: dialects, encodings, times; what is broken has its reason."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.dialects import ENCODINGS
from migration.mapping import Dialect
from migration.mapping_file import parse_mapping
from migration.rows import mapped_rows
from migration.sources.arrival import LATEST
from migration.sources.csv_lines import CsvLines, split_fields
from migration.sources.lines import read_texts, reading_session
from tests.migration_files import HEADER, MAPPINGS, line
from tests.migration_text import found_in, zstd

pytestmark = pytest.mark.thorough

LAST = "9999-12-31 23:59:59.999999"


@pytest.fixture(scope="module")
def session(spark) -> SparkSession:
    return reading_session(spark)


def csv_of(session: SparkSession, path: Path, lines: Sequence[str], dialect: Dialect) -> list[object]:
    path.write_text("\n".join(lines) + "\n", encoding=dialect.encoding, newline="")
    return found_in(split_fields(read_texts(session, [str(path)], dialect.encoding), ["a", "b", "c"], dialect))


@pytest.mark.parametrize(
    ("dialect", "found"),
    [
        pytest.param(
            Dialect(delimiter="|"),
            {'a|"b|b"|': ("a", "b|b", None), 'a|"b""b"|""': ("a", 'b"b', ""), "a,b|c|d": ("a,b", "c", "d")},
            id="pipes",
        ),
        pytest.param(
            Dialect(delimiter="\t"),
            {"\tb\t": (None, "b", None), 'a\t"b\tb"\t c ': ("a", "b\tb", " c "), "\t\t": (None, None, None)},
            id="tabs",
        ),
        pytest.param(
            Dialect(delimiter="||"),
            {'"a||b"||b||c': ("a||b", "b", "c"), "||||": (None, None, None), "a|||b||c": ("a", "|b", "c")},
            id="two pipes",
        ),
        pytest.param(
            Dialect(delimiter="\x01", quote=""),
            {'"a\x01b"\x01': ('"a', 'b"', None), "a\x01b": "wanted 3 columns", "a\x01b\x01c\x01": "wanted 3 columns"},
            id="control characters and no quotes",
        ),
        pytest.param(
            Dialect(delimiter="\t", quote="", escape="\\", nulls=("\\N",)),
            {
                "\\N\t\t\\\\N": (None, "", "\\N"),
                "a\\\tb\tc\t\\n": ("a\tb", "c", "\\n"),
                "a\tb\tc\\": "open escape",
                "a\tb\tc\\\\": ("a", "b", "c\\"),
            },
            id="as MySQL and PostgreSQL write it",
        ),
        pytest.param(
            Dialect(escape="\\"),
            {
                r'"a\"b","c""d",e\,f': ('a"b', 'c"d', "e,f"),
                r'"a\\","b,\"",\\': ("a\\", 'b,"', "\\"),
                r'"a\",b,c': "open quote",
                r"a,b,c:\d": ("a", "b", r"c:\d"),
            },
            id="escaped quotes beside doubled ones",
        ),
        pytest.param(
            Dialect(nulls=("", "NULL", "\\N")),
            {
                'NULL,"NULL",': (None, "NULL", None),
                '\\N,"a,NULL,b",NULLS': (None, "a,NULL,b", "NULLS"),
                '"",x"y"z,NULL': ("", 'x"y"z', None),
                '"""NULL,",NULL,n': ('"NULL,', None, "n"),
            },
            id="words that mean null",
        ),
        pytest.param(
            Dialect(nulls=("NULL",), delimiter=";", quote="'"),
            {"NULL;;'NULL'": (None, "", "NULL"), "'it''s';'a;b';": ("it's", "a;b", "")},
            id="empty is no null",
        ),
        pytest.param(Dialect(nulls=()), {'a,,""': ("a", "", "")}, id="nothing is null"),
    ],
)
def test_a_dialect_is_read_as_it_is_written(session, tmp_path, dialect, found) -> None:
    assert csv_of(session, tmp_path / "a.csv", list(found), dialect) == list(found.values())


def test_long_fields_with_many_quotes_and_nulls_are_read(session, tmp_path) -> None:
    lines = ['"' + 'x""' * 200_000 + '",NULL,"NULL"']
    dialect = Dialect(nulls=("NULL",), escape="\\")
    assert csv_of(session, tmp_path / "a.csv", lines, dialect) == [('x"' * 200_000, None, "NULL")]


PACKED: dict[str, Callable[[bytes], bytes]] = {".csv": bytes, ".gz": gzip.compress, ".zst": zstd}


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["without a mark", "with a mark"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.csv.zst"])
def test_without_a_header_line_the_first_line_is_a_record(session, key_file, mark, name) -> None:
    given = yaml.safe_load((MAPPINGS / "order_lines.yaml").read_text()) | {"header": list(HEADER), "delimiter": "|"}
    mapping = parse_mapping(given, where="m")
    path = key_file.parent / name
    path.write_bytes(PACKED[Path(name).suffix](mark + "\n".join(line(n) for n in (1, 2)).replace(",", "|").encode()))
    records = CsvLines().read(session, [str(path)], Layout(HEADER, ()), mapping)
    records = records.withColumn("origin", F.lit("migration/t/c")).withColumn(LATEST, F.lit(LAST).cast("timestamp"))
    rows = mapped_rows(records, HEADER, mapping, workspace="grocery", key_file=key_file).collect()
    assert [(row.order_id, row.origin_position, row.reason) for row in rows] == [("1", 1, None), ("2", 2, None)]


# What Java reads but would write as other bytes: second codes of the same character.
ONE_WAY = {"big5": 3}


@pytest.mark.parametrize("name", ENCODINGS)
def test_every_character_of_an_encoding_is_read_or_refused(session, tmp_path, name) -> None:
    characters = []
    for point in [*range(0x20, 0xD800), *range(0xE000, 0x10000, 3), *range(0x10000, 0x20000, 97)]:
        try:
            chr(point).encode(name)
        except UnicodeEncodeError:
            continue
        characters.append(chr(point))
    path = tmp_path / "a.txt"
    path.write_bytes(b"".join(f"<{one}>\n".encode(name) for one in characters))
    rows = sorted(read_texts(session, [str(path)], name).collect(), key=lambda row: row.line)
    assert len(rows) == len(characters)
    refused = [row for row in rows if row.reason]
    assert len(refused) == ONE_WAY.get(name, 0)
    assert {row.reason for row in refused} <= {f"not valid {name.upper()}"}
    # A few characters are others to Java than to Python.
    others = [one for one, row in zip(characters, rows, strict=True) if not row.reason and row.text != f"<{one}>"]
    assert len(others) <= 20


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("utf-8", b"\xc3(", id="UTF-8"),
        pytest.param("gbk", b"\xff", id="GBK"),
        pytest.param("gb18030", b"\x81", id="GB18030"),
        pytest.param("big5", b"\x81\x30", id="Big5"),
        pytest.param("shift_jis", b"\x87\x40", id="Shift_JIS: a sign of Windows alone"),
        pytest.param("windows-1252", b"\x81", id="windows-1252"),
    ],
)
def test_what_an_encoding_does_not_know_is_refused(session, tmp_path, name, content) -> None:
    (tmp_path / "a.txt").write_bytes(b"a\n" + content + b"\nb\n")
    rows = read_texts(session, [str(tmp_path / "a.txt")], name).collect()
    assert {row.line: row.reason for row in rows} == {1: None, 2: f"not valid {name.upper()}", 3: None}
    assert rows[1].raw == content


@pytest.mark.parametrize(
    ("form", "times"),
    [
        pytest.param(
            "epoch_us",
            {
                "1704067200123456": "2024-01-01 00:00:00.123456",
                "-1": "1969-12-31 23:59:59.999999",
                "253402300799999999": "9999-12-31 23:59:59.999999",
                "253402300800000000": None,
                "99999999999999999999": None,
                "1704067200123456.5": None,
                "2024-01-01": None,
            },
            id="microseconds",
        ),
        pytest.param(
            "epoch_ms",
            {
                "1704067200123": "2024-01-01 00:00:00.123",
                "1704067200123.456": "2024-01-01 00:00:00.123456",
                "1704067200123.4567": None,
                "9223372036854775807": None,
            },
            id="milliseconds",
        ),
        pytest.param(
            "epoch_s",
            {
                "1704067200": "2024-01-01 00:00:00",
                "1704067200.123456": "2024-01-01 00:00:00.123456",
                "1704067200.1234567": None,
                "1.7040672E9": "2024-01-01 00:00:00",
                "9223372036854775807": None,
                "-62135596801": None,
            },
            id="seconds",
        ),
    ],
)
def test_a_time_since_1970_is_exact_whatever_the_zone(session, key_file, form, times) -> None:
    given = yaml.safe_load((MAPPINGS / "order_lines.yaml").read_text()) | {"zone": "Asia/Shanghai"}
    given["columns"]["ordered_at"] = {"from": "transaction_timestamp", "format": form, "since": "0001-01-01T00:00:00"}
    mapping = parse_mapping(given, where="m")
    lines = [",".join(HEADER), *(line(n, transaction_timestamp=time) for n, time in enumerate(times))]
    path = key_file.parent / "a.csv"
    path.write_text("\n".join(lines))
    records = CsvLines().read(session, [str(path)], Layout(HEADER, ()), mapping)
    records = records.withColumn("origin", F.lit("o")).withColumn(LATEST, F.lit(LAST).cast("timestamp"))
    rows = mapped_rows(records, HEADER, mapping, workspace="grocery", key_file=key_file)
    found = rows.select("ordered_at", "ordered_date", "reason").collect()
    for row, wanted in zip(found, times.values(), strict=True):
        moment = None if wanted is None else datetime.fromisoformat(wanted)
        assert (row.ordered_at, row.ordered_date) == (moment, moment.date() if moment else None)
        assert row.reason == (None if moment else "transaction_timestamp: not a timestamp")
