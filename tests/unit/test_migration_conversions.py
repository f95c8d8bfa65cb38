"""From a source's types to the contracts': which ways there are, and which mappings may ask for them."""

from __future__ import annotations

import pytest

from migration.chunks import Layout
from migration.conversions import UNREADABLE, Way, type_problem, way
from migration.mapping_file import parse_mapping
from spark_jobs.contracts.core import IDENTIFIER_STRUCT, MONEY
from spark_jobs.errors import TerminalError
from tests.columnar_files import COLUMNS, mapping_of


@pytest.mark.parametrize(
    ("rule", "kind", "says"),
    [
        pytest.param({"from": "x"}, f"array<{IDENTIFIER_STRUCT}>", "", id="a list of the contract's type"),
        pytest.param({"from": "x"}, "array<struct<type:string>>", "cannot become identifiers", id="another list"),
        pytest.param({"from": "x"}, "string", "cannot become identifiers", id="text into a list"),
    ],
)
def test_lists_pass_where_they_have_the_contract_s_type(rule, kind, says) -> None:
    columns = {
        "subject_type": {"value": "member_no"},
        "subject_scope": {"value": "g"},
        "subject_token": {"from": "t"},
        "registered_at": {"from": "r"},
        "identifiers": rule,
        "attributes": {"json": ["age"]},
        "valid_from": {"from": "r"},
        "valid_to": {"value": None},
    }
    mapping = parse_mapping(mapping_of(target="core.members", columns=columns, ignore=[]), where="m")
    problem = type_problem(Layout(("x", "t", "r", "age"), (kind, "binary", "timestamp", "bigint")), mapping)
    assert says in problem
    assert bool(says) == bool(problem)
    unfit = type_problem(Layout(("x", "t", "r", "age"), (kind, "string", "timestamp_ntz", "binary")), mapping)
    assert "'t' is string, which cannot become subject_token (binary)" in unfit
    assert "'age' is binary, which cannot become text of JSON" in unfit


@pytest.mark.parametrize("kind", ["parquet", "orc"])
def test_a_mapping_of_typed_files_needs_no_format_and_takes_tokens(kind) -> None:
    parse_mapping(mapping_of(kind, columns=COLUMNS | {"subject_token": {"from": "household_id"}}), where="m")


@pytest.mark.parametrize("key", ["encoding", "delimiter", "quote"])
def test_a_mapping_of_typed_files_says_nothing_of_texts(key) -> None:
    with pytest.raises(TerminalError, match=f"m: {key} is for texts, not for orc"):
        parse_mapping(mapping_of("orc", **{key: {"encoding": "gbk"}.get(key, ";")}), where="m")


@pytest.mark.parametrize(
    ("source", "target", "found"),
    [
        ("bigint", "bigint", Way.SAME),
        (MONEY, MONEY, Way.SAME),
        ("timestamp", "timestamp", Way.SAME),
        ("binary", "binary", Way.SAME),
        ("tinyint", "int", Way.WIDER),
        ("int", "bigint", Way.WIDER),
        ("bigint", "int", Way.CHECKED),
        ("decimal(18,0)", "bigint", Way.WIDER),
        ("decimal(19,0)", "bigint", Way.CHECKED),
        ("decimal(20,0)", "bigint", Way.CHECKED),
        ("decimal(9,0)", "int", Way.WIDER),
        ("decimal(10,0)", "int", Way.CHECKED),
        ("decimal(10,1)", "bigint", Way.CHECKED),
        ("int", MONEY, Way.WIDER),
        ("bigint", MONEY, Way.CHECKED),
        ("decimal(16,2)", MONEY, Way.WIDER),
        ("decimal(18,3)", MONEY, Way.CHECKED),
        ("decimal(19,2)", MONEY, Way.CHECKED),
        ("double", MONEY, Way.CHECKED),
        ("float", MONEY, Way.CHECKED),
        ("float", "double", Way.WIDER),
        ("int", "double", Way.WIDER),
        ("bigint", "double", Way.CHECKED),
        ("decimal(15,2)", "double", Way.WIDER),
        ("decimal(18,2)", "double", Way.CHECKED),
        ("double", "bigint", Way.CHECKED),
        ("tinyint", "boolean", Way.CHECKED),
        ("double", "boolean", None),
        ("boolean", "int", None),
        ("bigint", "string", Way.WIDER),
        ("date", "string", Way.WIDER),
        ("double", "string", None),
        ("timestamp", "string", None),
        ("binary", "string", None),
        ("string", "binary", None),
        ("string", MONEY, Way.TEXT),
        ("timestamp_ntz", "timestamp", Way.LOCAL),
        ("date", "timestamp", Way.LOCAL),
        ("timestamp_ntz", "date", Way.CHECKED),
        ("timestamp", "date", None),
        ("bigint", "timestamp", None),
        ("map<string,int>", "string", None),
        (f"{UNREADABLE}UUID", "binary", None),
    ],
)
def test_the_way_from_a_type_to_another(source, target, found) -> None:
    assert way(source, target) is found
