"""JSON Lines and their named layouts: every digit comes through, and nothing goes by unnoticed."""

from __future__ import annotations

import gzip
import json
import re
from datetime import date, datetime

import pytest
import yaml
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.copying import copy_all
from migration.mapping_file import parse_mapping
from migration.rows import mapped_rows
from migration.settling import settle
from migration.sources.arrival import LATEST
from migration.sources.files import FORMATS
from migration.sources.ga4 import GA4
from migration.sources.json_lines import JsonLines
from migration.sources.json_texts import MAX_DEPTH
from migration.sources.lines import MAX_LINE_BYTES, read_texts, reading_session
from spark_jobs.contracts.core import EVENTS
from spark_jobs.storage import delta
from tests.migration_files import EXAMPLES, MAPPINGS, old_system, planned
from tests.migration_text import NO_OBJECT, TOO_LONG, event, found_in

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def session(spark) -> SparkSession:
    return reading_session(spark)


KEYS = ("a", "b", "s", "user.phone", "user.x")
NOTHING = (None,) * len(KEYS)
DEEP = "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
JSON_LINES: dict[str, object] = {
    '{"a":1.00,"b":0.12345678901234567890123456789}': ("1.00", "0.12345678901234567890123456789", *NOTHING[2:]),
    '{"a":1e400,"b":-0.0E-5,"s":12345678901234567890123456789}': (
        *("1e400", "-0.0E-5", "12345678901234567890123456789"),
        *NOTHING[3:],
    ),
    '{"a":"q\\u00e9 1.5, \\" 2.5","b":true,"s":""}': ('qé 1.5, " 2.5', "true", "", *NOTHING[3:]),
    '{"s":{"d":[1.10,{"k":"v\\"1.2"}],"e":1E3},"a":[],"b":{}}': (
        *("[]", "{}", '{"d":[1.10,{"k":"v\\"1.2"}],"e":1E3}'),
        *NOTHING[3:],
    ),
    ' {"a" : 1.50 , "user" : {"phone" : "138" , "x" : [ 1.0 , 2 ]} } \r': ("1.50", None, None, "138", "[1.0,2]"),
    '{"a":"[1.5,2.50]","b":[1.5,2.50]}': ("[1.5,2.50]", "[1.5,2.50]", *NOTHING[2:]),
    '{"user":null,"a":null}': NOTHING,
    "{}": NOTHING,
    '{"user":"{\\"phone\\":1.50}"}': "user: not an object",
    '{"a":' + DEEP + "}": (DEEP, *NOTHING[1:]),
    '{"a":[' + DEEP + "]}": f"nested deeper than {MAX_DEPTH} levels",
    '{"a":' + "[" * 50_000 + "]" * 50_000 + "}": f"nested deeper than {MAX_DEPTH} levels",
    '{"a":' + "[" * 50_000 + "}": NO_OBJECT,
    '{"a":1': NO_OBJECT,
    '{"a":1} x': NO_OBJECT,
    '{"a":1}{"b":2}': NO_OBJECT,
    '{"a":1},{"b":2}': NO_OBJECT,
    '{"a":1}] x': NO_OBJECT,
    '{"a":1},{"":""}] x': NO_OBJECT,
    '[{"a":1}]': NO_OBJECT,
    "5": NO_OBJECT,
    "null": NO_OBJECT,
    "{'a':1}": NO_OBJECT,
    '{"a":NaN}': NO_OBJECT,
    '{"a":01.5}': NO_OBJECT,
    '{"a":1.5.5}': NO_OBJECT,
    '{"a":"x\ty"}': NO_OBJECT,
    "": "blank line",
    '{"a":"\\u0000"}': "NUL byte",
    '{"a":"x\0y"}': "NUL byte",
    '{"a":1,"a":2}': "key 'a' stands twice",
    '{"user":{"phone":1,"phone":2}}': "key 'user.phone' stands twice",
    '{"a":1,"zz":1}': "key 'zz' is not mapped",
    '{"A":1}': "key 'A' is not mapped",
    '{"手机号2":1}': "key '手机号2' is not mapped",
    '{"13900000001":1}': "a key of the record is not mapped",
    '{"user":{"phone":1,"a@example.com":2}}': "a key of user is not mapped",
    '{"user":5}': "user: not an object",
    '{"user":["phone"]}': "user: not an object",
    '{"user":"{\\"phone\\":1} x"}': "user: not an object",
    '{"a":"' + "x" * MAX_LINE_BYTES + '"}': TOO_LONG,
}


def test_json_lines_are_read_to_the_last_digit_or_refused(session, tmp_path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(JSON_LINES), newline="")
    texts = read_texts(session, [str(path)], "utf-8")
    found = found_in(JsonLines().split_fields(texts, KEYS, is_open=False))
    assert dict(zip(JSON_LINES, found, strict=True)) == JSON_LINES


def test_json_of_another_encoding_is_read_and_other_keys_may_be_ignored(session, tmp_path) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"a":"商店","zz":1,"user":{"q":1,"x":2}}\n'.encode("gbk"))
    texts = read_texts(session, [str(tmp_path / "a.jsonl")], "gbk")
    assert found_in(JsonLines().split_fields(texts, KEYS, is_open=True)) == [("商店", None, None, None, "2")]


def test_a_named_object_may_have_any_keys(session, tmp_path) -> None:
    (tmp_path / "a.jsonl").write_text('{"user":{"q":1.0,"x":2}}\n')
    texts = read_texts(session, [str(tmp_path / "a.jsonl")], "utf-8")
    found = found_in(JsonLines().split_fields(texts, ["user", "user.x"], is_open=False))
    assert found == [('{"q":1.0,"x":2}', "2")]


def test_parameters_of_ga4_are_fields_whatever_type_their_value_has(session, tmp_path) -> None:
    params = json.loads(event(1))["event_params"]
    lines = {
        event(1): ("1704067000", "12.5", "Shoes", None, "gold", "false"),
        event(1, event_params=[], user_id="u7"): (None, None, None, None, "gold", "true"),
        event(1, event_params=None, user_properties=None): (None, None, None, None, None, "false"),
        event(1, event_params=params * 2): "key 'event_params.ga_session_id' stands twice",
        event(1, event_params={"ga_session_id": 1}): "event_params: not a list of parameters",
        event(1, event_params=[{"key": "page_title", "value": "Shoes"}]): "event_params: not a list of parameters",
    }
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    names = ["ga_session_id", "value", "page_title", "nothing"]
    header = [*(f"event_params.{name}" for name in names), "user_properties.tier", "is_signed_in"]
    found = found_in(GA4.split_fields(read_texts(session, [str(tmp_path / "a.jsonl")], "utf-8"), header, is_open=True))
    assert found == list(lines.values())


def test_events_of_ga4_have_one_id_each(session, tmp_path) -> None:
    same = [event(1), event(1, user_id="u7", geo={})]
    others = [
        event(2),
        event(1, event_name="scroll"),
        event(1, event_bundle_sequence_id="78"),
        event(1, event_params=[]),
    ]
    nobody = [event(1, user_pseudo_id=None), event(1, user_pseudo_id=None, event_params=[])]
    (tmp_path / "a.jsonl").write_text("\n".join([*same, *others, *nobody]))
    rows = GA4.split_fields(read_texts(session, [str(tmp_path / "a.jsonl")], "utf-8"), ["event_id"], is_open=True)
    ids = [found[0] for found in found_in(rows) if isinstance(found, tuple)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 1 + len(others) + len(nobody)


def test_nothing_clear_of_json_meets_a_shuffle_a_sort_or_a_cache(session, tmp_path, key_file) -> None:
    given = yaml.safe_load((MAPPINGS / "order_lines.yaml").read_text()) | {"format": "jsonl"}
    mapping = parse_mapping(given, where="m")
    (tmp_path / "a.jsonl").write_text("{}\n")
    header = tuple(sorted(mapping.source_columns))
    records = FORMATS["jsonl"].read(session, [str(tmp_path / "a.jsonl")], Layout(header, ()), mapping)
    placed = records.withColumn("origin", F.lit("o")).withColumn(LATEST, F.current_timestamp())
    rows = mapped_rows(placed, header, mapping, workspace="w", key_file=key_file)
    plan = rows._jdf.queryExecution().executedPlan().toString()
    nodes = re.findall(r"^[ :+-]*(?:\*\(\d+\) )?([A-Z]\w+)", plan, re.MULTILINE)
    assert set(nodes[nodes.index("MapInArrow") + 1 :]) == {"Project", "FileScan"}


def test_the_example_of_ga4_fills_events(tmp_path, lake, key_file) -> None:
    old = old_system(tmp_path / "old")
    (old.folder / "order_lines.yaml").write_text((EXAMPLES / "ga4_events.yaml").read_text().replace("0.001", "1"))
    lines = [
        event(1),
        event(2, user_id="anna.k"),
        event(1),
        event(3, user_pseudo_id=None),
        event(4, event_timestamp="x"),
    ]
    (old.export / "events_20240101.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    with planned(old, lake, key_file) as work:
        copy_all(work)
        (chunk,) = work.ledger.chunks(work.plan.plan_id)
        assert chunk.counts is not None
        assert (chunk.counts.read, chunk.counts.good.rows, chunk.counts.quarantined, chunk.counts.duplicate) == (
            5,
            4,
            1,
            0,
        )
        settle(lake, EVENTS, run_id="test")
        rows = delta.read(lake, EVENTS).orderBy("occurred_at").collect()
    first = rows[0]
    assert (first.occurred_at, first.occurred_date) == (
        datetime.fromisoformat("2024-01-01 00:00:00.123457"),
        date(2024, 1, 1),
    )
    assert (first.name, first.session_key, first.terminal, first.channel) == ("page_view", "1704067000", "mobile", None)
    properties = {"event_params.page_title": "Shoes", "event_params.value": "12.5", "geo.country": "Germany"}
    assert json.loads(first.properties) == properties | {"platform": "WEB"}
    assert [[identifier.type for identifier in row.identifiers] for row in rows] == [
        ["cookie"],
        ["cookie", "login"],
        [],
    ]
    assert [row.authenticated for row in rows] == [False, True, False]
    assert [row.subject_token is None for row in rows] == [False, False, True]
