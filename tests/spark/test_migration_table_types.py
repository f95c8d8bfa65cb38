"""Every type of PostgreSQL and MariaDB comes exactly: in Spark's type for it, or as the database's text."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pyspark.sql import Column
from pyspark.sql import functions as F

from tests.migration_tables import KINDS, OldDatabase, chunks_of, old_database, records_of

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[OldDatabase]:
    with old_database(request.param) as old:
        yield old


@pytest.fixture
def old(server: OldDatabase) -> OldDatabase:
    server.empty()
    return server


# Type in SQL; Spark's type; a value in SQL and as Spark shows it; another one that Spark cannot hold, or None.
Types = dict[str, tuple[str, str, str, str, str | None]]
POSTGRESQL_TYPES: Types = {
    "smallint": ("smallint", "smallint", "-32768", "-32768", None),
    "whole": ("integer", "int", "2147483647", "2147483647", None),
    "big": ("bigint", "bigint", "-9223372036854775808", "-9223372036854775808", None),
    "truth": ("boolean", "boolean", "false", "false", None),
    "single": ("real", "float", "0.1", "0.1", None),
    "double": ("double precision", "double", "0.1", "0.1", None),
    "not_a_number": ("double precision", "double", "'NaN'", "NaN", None),
    "money_like": ("numeric(10,2)", "decimal(10,2)", "12345678.90", "12345678.90", "'NaN'"),
    "small_part": ("numeric(38,18)", "decimal(38,18)", "1e-18", "0.000000000000000001", None),
    "any_number": ("numeric", "string", "123456789012345678901234567890123456789012.5", "same", None),
    "too_long": ("numeric(50,2)", "string", "123456789012345678901234567890123456789012.50", "same", None),
    "rounded": ("numeric(3,-2)", "string", "12345", "12300", None),
    "price": ("money", "string", "1234.5", "1234.50", None),
    "day": ("date", "date", "'1066-10-14'", "1066-10-14", "'infinity'"),
    "local": ("timestamp", "timestamp_ntz", "'1582-10-10 02:30:00.000001'", "1582-10-10 02:30:00.000001", "'infinity'"),
    "instant": (
        "timestamptz",
        "timestamp",
        "'2017-03-26 02:30:00.123456+01'",
        "2017-03-26 01:30:00.123456",
        "'0044-03-15 BC'",
    ),
    "clock": ("time", "string", "'12:00:00.5'", "12:00:00.5", None),
    "span": ("interval", "string", "'1 day 2 hours'", "P1DT2H", None),
    "words": ("text", "string", "E' it''s \\\\ \"a\"\\n中😀'", ' it\'s \\ "a"\n中😀', None),
    "nothing": ("varchar(9)", "string", "''", "", None),
    "padded": ("char(5)", "string", "'ab'", "ab", None),
    "named": ("uuid", "string", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", None),
    "bytes": ("bytea", "binary", r"'\x00ff41'", "00FF41", None),
    "document": ("jsonb", "string", """'{"b":1,"a":[null]}'""", '{"a": [null], "b": 1}', None),
    "many": ("integer[]", "string", "'{1,NULL}'", "{1,NULL}", None),
    "address": ("inet", "string", "'10.0.0.1/8'", "10.0.0.1/8", None),
    "bits": ("bit(3)", "string", "B'101'", "101", None),
    "own": ("old.cents", "decimal(9,2)", "5", "5.00", None),
}
MYSQL_TYPES: Types = {
    "tiny": ("tinyint(1)", "bigint", "2", "2", None),
    "small": ("smallint unsigned", "bigint", "65535", "65535", None),
    "medium": ("mediumint", "bigint", "-8388608", "-8388608", None),
    "whole": ("int unsigned", "bigint", "4294967295", "4294967295", None),
    "big": ("bigint", "bigint", "-9223372036854775808", "-9223372036854775808", None),
    "huge": ("bigint unsigned", "decimal(20,0)", "18446744073709551615", "18446744073709551615", None),
    "single": ("float", "double", "0.1", "0.10000000149011612", None),
    "exact": ("double", "double", "0.1", "0.1", None),
    "money_like": ("decimal(10,2)", "decimal(10,2)", "-12345678.90", "-12345678.90", None),
    "small_part": ("decimal(38,18)", "decimal(38,18)", "1e-18", "0.000000000000000001", None),
    "too_long": ("decimal(65,2)", "string", "123456789012345678901234567890123456789012.50", "same", None),
    "day": ("date", "date", "'1066-10-14'", "1066-10-14", "'0000-00-00'"),
    "local": (
        "datetime(6)",
        "timestamp_ntz",
        "'1582-10-10 02:30:00.000001'",
        "1582-10-10 02:30:00.000001",
        "'2020-00-00'",
    ),
    "instant": ("timestamp(6) NULL", "timestamp", "'2017-03-26 02:30:00.123456'", "2017-03-25 18:30:00.123456", "0"),
    "clock": ("time(1)", "string", "'-838:59:58.5'", "-838:59:58.5", None),
    "years": ("year", "bigint", "2017", "2017", None),
    "words": ("text", "string", "' it''s \\\\ \"a\"\\n中😀'", ' it\'s \\ "a"\n中😀', None),
    "nothing": ("varchar(9)", "string", "''", "", None),
    "padded": ("char(5)", "string", "'ab  '", "ab", None),
    "chinese": ("varchar(9) CHARACTER SET gbk", "string", "'中文'", "中文", None),
    "western": ("longtext CHARACTER SET latin1", "string", "'é€'", "é€", None),
    "choice": ("enum('x','y')", "string", "'y'", "y", None),
    "several": ("set('x','y')", "string", "'x,y'", "x,y", None),
    "document": ("json", "string", """'{"b":1}'""", '{"b":1}', None),
    "fixed": ("binary(4)", "binary", "x'00ff41'", "00FF4100", None),
    "bytes": ("longblob", "binary", "x'00ff41'", "00FF41", None),
    "flag": ("bit(1)", "bigint", "b'1'", "1", None),
    "bits": ("bit(64)", "decimal(20,0)", "b'" + "1" * 64 + "'", "18446744073709551615", None),
}
# Columns that a record is refused for; what else Spark cannot hold comes as null where nobody uses it.
USED = ("money_like", "day", "words")
TARGETS = ("product_line", "category", "product_type")
UNUSED = ("brand", "manufacturer_id", "package_size")


def shown(name: str, kind: str) -> Column:
    return F.hex(name) if kind == "binary" else F.col(name).cast("string")


def one_of_each(old: OldDatabase, types: Types) -> None:
    """Three rows: each type with a value, with none, and with one that Spark cannot hold."""
    if old.kind == "postgresql":
        old.execute("CREATE DOMAIN old.cents AS numeric(9,2)")
    else:
        old.execute("SET GLOBAL sql_mode = ''", "SET GLOBAL time_zone = '+08:00'")  # what an account begins with
    old.table(f"id bigint PRIMARY KEY, {', '.join(f'{name} {kind[0]}' for name, kind in types.items())}")
    plain, odd = [kind[2] for kind in types.values()], [kind[4] or kind[2] for kind in types.values()]
    rows = [plain, ["NULL"] * len(types), odd]
    old.insert([", ".join([str(number), *row]) for number, row in enumerate(rows)])


def test_every_type_comes_exactly(old, spark) -> None:
    types = POSTGRESQL_TYPES if old.kind == "postgresql" else MYSQL_TYPES
    one_of_each(old, types)
    used = {target: {"from": column} for target, column in zip(TARGETS, USED, strict=True)}
    changes = {
        "split_by": "id",
        "ignore": [name for name in types if name not in USED],
        "columns": {"product_id": {"from": "id"}, **{key: {"value": None} for key in UNUSED}, **used},
    }
    (chunk,) = chunks_of(old, **changes)
    assert chunk.types == ("bigint", *(kind[1] for kind in types.values()))
    read = records_of(old, spark, [chunk], **changes).orderBy("line")
    fields = ",".join(f"f{number}:{kind}" for number, kind in enumerate(chunk.types))
    assert read.schema["fields"].dataType.simpleString() == f"struct<{fields}>"
    columns = [
        shown(f"fields.f{number}", kind[1]).alias(name) for number, (name, kind) in enumerate(types.items(), start=1)
    ]
    whole, empty, odd = (row.asDict() for row in read.select("reason", "raw", *columns).collect())
    wanted = {name: kind[2] if kind[3] == "same" else kind[3] for name, kind in types.items()}
    assert {name: whole[name] for name in types} == wanted
    assert {empty[name] for name in types} == {None}
    assert {name: odd[name] for name in types} == {name: None if types[name][4] else wanted[name] for name in types}
    refused = "money_like: not a decimal(10,2)" if old.kind == "postgresql" else "day: not a date"
    assert [row["reason"] for row in (whole, empty, odd)] == [None, None, refused]
    assert json.loads(odd["raw"])["day"] == ("infinity" if old.kind == "postgresql" else "0000-00-00")
