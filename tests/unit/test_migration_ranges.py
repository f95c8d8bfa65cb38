"""Ranges of keys: every row is in exactly one, with the count that was told, whatever the keys are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

import pytest

from migration.chunks import Chunk
from migration.sources.ranges import Range
from migration.sources.source import Refused
from migration.sources.tables import Tables
from tests.migration_tables import KINDS, OldDatabase, chunks_of, old_database, parsed


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[OldDatabase]:
    with old_database(request.param) as old:
        yield old


@pytest.fixture
def old(server: OldDatabase) -> OldDatabase:
    server.empty()
    return server


def refusal(old: OldDatabase, **changes: object) -> str:
    found = list(old.source.look([parsed(**changes)], lambda _mapping, _name: iter(())))
    (refused,) = [one for one in found if isinstance(one, Refused)]
    return refused.reason


def ids_of(old: OldDatabase, chunks: list[Chunk]) -> list[list[int]]:
    """Which rows each chunk has, asked in another way than planning asks: all rows, with the conditions as columns."""
    source = old.source
    assert isinstance(source, Tables)
    dialect, kinds = source.database.dialect, dict(map(tuple, old.query(TYPES)))
    conditions = [Range.parse(chunk.part).condition(dialect.quoted("k"), kinds["k"], dialect) for chunk in chunks]
    columns = ", ".join(f"CASE WHEN {condition} THEN 1 ELSE 0 END" for condition in conditions)
    with source.database.snapshot() as snapshot:
        rows = snapshot.rows(f"SELECT id, {columns} FROM old.items ORDER BY id")
    return [[row[0] for row in rows if row[number]] for number in range(1, len(chunks) + 1)]


TYPES = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'items'"


def check_partition(old: OldDatabase, chunks: list[Chunk], rows: int, most: int) -> None:
    """Every row once, counts as told, and no chunk of several keys over the limit."""
    found = ids_of(old, chunks)
    assert sorted(number for ids in found for number in ids) == list(range(rows))
    assert [len(ids) for ids in found] == [chunk.records for chunk in chunks]
    for chunk, ids in zip(chunks, found, strict=True):
        if len(ids) > most and not Range.parse(chunk.part).is_null:
            inside = ", ".join(map(str, ids))
            assert old.query(f"SELECT count(DISTINCT k) FROM old.items WHERE id IN ({inside})")[0][0] == 1


def random_numbers(seed: int) -> list[str]:
    """Numbers with gaps, heaps, negative and huge ones, and nulls."""
    random = Random(seed)
    heaps = [random.randint(-(2**63), 2**63 - 1) for _ in range(3)]
    few = [random.randint(-5, 5) for _ in range(40)]
    wide = [random.randint(-(2**63), 2**63 - 1) for _ in range(random.randint(0, 60))]
    keys = [*(random.choice(heaps) for _ in range(random.randint(0, 50))), *few, *wide]
    texts = [*map(str, keys), *["NULL"] * random.randint(0, 3)]
    random.shuffle(texts)
    return texts


TEXTS = ["a", "A", "b", "B", "ä", "Ä", "z", "", " ", "a ", "it''s", '"', "%", "日本", "😀", "abc", "ABC", "Abc"]
TIMES = [f"'20{10 + n % 7}-01-0{1 + n % 3} 00:00:00.{n * 7919 % 1000000:06d}'" for n in range(45)]


@pytest.mark.parametrize(
    ("kind", "keys", "most"),
    [
        pytest.param("bigint", [str(n) for n in range(45)], 10, id="one after the other"),
        pytest.param("bigint", [str(n) for n in range(40)], 10, id="the last range is full"),
        pytest.param("bigint", [str(n * n * n - 9000) for n in range(45)], 10, id="gaps and negative keys"),
        pytest.param("bigint", [str(-(2**63)), "0", str(2**63 - 1)], 1, id="the ends of 64 bits"),
        pytest.param("bigint", ["7"] * 45, 10, id="one hot key alone"),
        pytest.param("bigint", [str(n // 40) for n in range(60)], 10, id="a hot key first"),
        pytest.param("bigint", [str(max(n, 20)) for n in range(45)], 10, id="a hot key last"),
        pytest.param("bigint", [str(n // 6) for n in range(60)], 10, id="a key would stand in two ranges"),
        pytest.param("bigint", ["NULL"] * 25, 10, id="no key at all"),
        pytest.param("bigint", ["NULL", "1", "NULL", "2"], 10, id="some rows without a key"),
        pytest.param("bigint", ["5"], 10, id="one row"),
        pytest.param("bigint", ["1", "2", "3"], 1, id="one row a chunk"),
        pytest.param("smallint", ["-32768", "0", "32767"], 1, id="small numbers"),
        pytest.param("decimal(38,10)", [f"{n - 20}.{n:010d}" for n in range(45)], 10, id="decimals"),
        pytest.param("date", [f"'20{10 + n % 9}-02-{1 + n % 28:02d}'" for n in range(45)], 10, id="dates"),
        pytest.param("timestamp(6)", TIMES, 10, id="microseconds"),
        pytest.param("varchar(20)", [f"'{text}'" for text in TEXTS], 4, id="texts"),
        pytest.param("char(8)", [f"'{text}'" for text in TEXTS if text.strip()], 4, id="padded texts"),
        *(pytest.param("bigint", random_numbers(seed), 9, id=f"at random {seed}") for seed in range(4)),
    ],
)
def test_every_row_is_in_exactly_one_range(old, kind, keys, most) -> None:
    old.keyed(kind, keys)
    check_partition(old, chunks_of(old, chunk_rows=most), len(keys), most)


def test_a_primary_key_needs_no_counts_and_gets_the_same(old) -> None:
    old.table("id bigint PRIMARY KEY, k int")
    old.insert([f"{n * 3}, 0" for n in range(25)])
    chunks = chunks_of(old, split_by="id")
    assert [chunk.records for chunk in chunks] == [10, 10, 5]
    ranges = [Range.parse(chunk.part) for chunk in chunks]
    assert [(one.after, one.upto) for one in ranges] == [(None, "27"), ("27", "57"), ("57", "72")]


def test_ranges_by_an_order_of_its_own_are_the_database_s(old) -> None:
    """Under an order that knows no case, 'b' comes before 'C', and 'a' is 'A': one key, one range."""
    if old.kind == "mysql":
        old.keyed("varchar(9) COLLATE utf8mb4_general_ci", ["'a'", "'A'", "'b'", "'C'"])
    else:
        old.execute("CREATE COLLATION old.no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        old.keyed("text COLLATE old.no_case", ["'a'", "'A'", "'b'", "'C'"])
    chunks = chunks_of(old, chunk_rows=1)
    assert ids_of(old, chunks) == [[0, 1], [2], [3]]


UUIDS = [f"'00000000-0000-4000-8000-{n * 7919:012d}'" for n in range(25)]
OF_ONE = {
    "uuid": {"postgresql": ("uuid", UUIDS), "mysql": ("uuid", UUIDS)},
    "bytes": {
        "postgresql": ("bytea", [f"'\\x{n:02x}00ff'" for n in range(9)]),
        "mysql": ("varbinary(16)", [f"x'{n:02x}00ff'" for n in range(9)]),
    },
    "times that are none": {
        "postgresql": ("timestamp", ["'-infinity'", "'2020-01-01'", "'infinity'", "'0044-03-15 BC'"]),
        "mysql": ("date", ["'0000-00-00'", "'2020-00-00'", "'2020-01-01'"]),
    },
    "instants": {
        "postgresql": ("timestamptz", [f"'2017-03-26 0{n}:30:00.00000{n}+01'" for n in range(9)]),
        "mysql": ("timestamp(6) NULL", [f"'2017-03-26 0{n}:30:00.00000{n}'" for n in range(9)]),
    },
    "the longest numbers": {
        "postgresql": ("numeric", ["1e100", "-1e-100", "0", "'NaN'"]),
        "mysql": ("decimal(65,30)", ["1e34", "-1e-30", "0"]),
    },
    "numbers without a sign": {
        "postgresql": ("numeric(20,0)", ["0", "18446744073709551615", "9223372036854775808"]),
        "mysql": ("bigint unsigned", ["0", "18446744073709551615", "9223372036854775808"]),
    },
    "the ends of time": {
        "postgresql": ("timestamp", ["'4713-01-01 BC'", "'294276-12-31 23:59:59.999999'"]),
        "mysql": ("datetime(6)", ["'1000-01-01'", "'9999-12-31 23:59:59.999999'"]),
    },
    "texts of another encoding": {
        "postgresql": ("text", ["'中'", "'文'", r"'a\'", "''''"]),
        "mysql": ("varchar(9) CHARACTER SET gbk", ["'中'", "'文'", r"'a\\'", "''''"]),
    },
}


@pytest.mark.parametrize("of_one", [pytest.param(keys, id=name) for name, keys in OF_ONE.items()])
def test_keys_of_each_database_s_own(old, of_one) -> None:
    if old.kind == "mysql":
        old.execute("SET GLOBAL sql_mode = ''")
    kind, keys = of_one[old.kind]
    old.keyed(kind, keys)
    check_partition(old, chunks_of(old, chunk_rows=1), len(keys), 1)


def test_an_empty_table_is_one_chunk_of_nothing(old) -> None:
    old.keyed("bigint", [])
    (chunk,) = chunks_of(old)
    assert (chunk.records, ids_of(old, [chunk])) == (0, [[]])


def test_a_condition_takes_a_part_of_the_rows(old) -> None:
    old.keyed("bigint", [str(n) for n in range(45)])
    chunks = chunks_of(old, where="k % 10 <> 3 -- the tens' threes are tests")
    assert sum(chunk.records for chunk in chunks) == 40
    assert json.loads(chunks[0].part)["split"]["where"].startswith("k % 10")


def test_a_chunk_says_which_rows_it_has_and_what_they_weigh(old) -> None:
    old.keyed("bigint", [str(n) for n in range(25)])
    first, second, third = chunks_of(old)
    assert first.chunk_id.startswith("core.products/00000001.old.items-")
    assert (first.source_object, first.header) == (f"{old.address}/old.items", ("id", "k"))
    assert (len({first.sha256, second.sha256, third.sha256}), len(first.sha256)) == (3, 64)
    assert first.bytes == 10 * third.bytes // 5 > 0
    assert first.part == Range.parse(first.part).part


def test_a_hot_key_is_reported_without_the_key(old, caplog) -> None:
    old.keyed("bigint", ["13800138000"] * 25)
    chunks_of(old)
    assert "has 25 rows, more than chunk_rows" in caplog.text
    assert "13800138000" not in caplog.text


@pytest.mark.parametrize(
    ("columns", "changes", "says"),
    [
        pytest.param("id int PRIMARY KEY, k int", {"table": "old.nothing"}, "there is no such table", id="no table"),
        pytest.param("id int PRIMARY KEY, k int", {}, "no index begins with split_by 'k'", id="no index"),
        pytest.param("id int, k int, UNIQUE (k)", {}, "no primary key and no unique index", id="a unique null"),
        pytest.param("id int PRIMARY KEY, k int", {"split_by": "x"}, "'x' is no column of it", id="no column"),
        pytest.param("id int PRIMARY KEY, k real, x int", {}, "column 'x' is not mapped", id="a new column"),
        pytest.param("id int PRIMARY KEY", {}, "column 'k' is missing", id="a missing column"),
        pytest.param("id int PRIMARY KEY, k time UNIQUE", {}, "'k' is time", id="a type that is no key"),
        pytest.param(
            "id double precision PRIMARY KEY, k int UNIQUE",
            {},
            "column 'id' is double, which cannot become product_id",
            id="a type that no rule can take",
        ),
    ],
)
def test_a_table_that_cannot_be_taken(old, columns, changes, says) -> None:
    old.table(columns)
    assert says in refusal(old, **changes)


def test_a_unique_index_over_what_is_never_null_orders_the_rows(old) -> None:
    old.table("id int NOT NULL, k int NOT NULL, UNIQUE (k, id)")
    old.insert(["1, 1", "2, 1"])
    assert json.loads(chunks_of(old)[0].part)["split"]["unique_key"] == ["k", "id"]


def test_tables_that_no_mapping_names_are_told(old) -> None:
    old.keyed("bigint", [])
    old.table("id int", name="forgotten")
    found = list(old.source.look([parsed()], lambda _mapping, _name: iter(())))
    assert [one.source_object for one in found if not isinstance(one, (Chunk, Refused))] == ["old.forgotten"]
