"""The dialect of a mapping: what files can be written like, and what is refused before any of them is read."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from migration.dialects import ENCODINGS
from migration.mapping import Dialect, Mapping, parents_of
from migration.mapping_file import FORMATS, load_mapping, parse_mapping
from migration.mapping_table import TABLE
from migration.sources import files
from spark_jobs.errors import TerminalError
from tests.migration_files import EXAMPLES, HEADER, MAPPINGS


def given(**changes: object) -> dict[str, Any]:
    mapping: dict[str, Any] = yaml.safe_load((MAPPINGS / "order_lines.yaml").read_text())
    return mapping | changes


def problem_of(**changes: object) -> str:
    with pytest.raises(TerminalError) as error:
        parse_mapping(given(**changes), where="m")
    return str(error.value)


def parsed(**changes: object) -> Mapping:
    return parse_mapping(given(**changes), where="m")


def test_a_mapping_without_a_dialect_has_the_usual_one() -> None:
    assert parsed().dialect == Dialect("utf-8", ",", '"', "", (), ("",))


@pytest.mark.parametrize("delimiter", ["|", "\t", "||", "\x01", "~|~", "§"])
def test_a_delimiter_may_have_several_characters(delimiter) -> None:
    assert parsed(delimiter=delimiter).dialect.delimiter == delimiter


def test_a_quote_may_be_none() -> None:
    assert parsed(quote="none").dialect.quote == ""


def test_columns_may_be_named_in_the_mapping() -> None:
    assert parsed(header=list(HEADER)).dialect.header == HEADER


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"delimiter": ""}, "delimiter is ''", id="no delimiter"),
        pytest.param({"delimiter": "|\n"}, "wanted characters that end no line", id="a line end in the delimiter"),
        pytest.param({"delimiter": "\\t"}, "YAML reads", id="an escape that YAML did not read"),
        pytest.param({"delimiter": '"'}, "share a character", id="the quote as delimiter"),
        pytest.param({"quote": "''"}, "wanted one ASCII character or none", id="two quotes"),
        pytest.param({"quote": "«"}, "wanted one ASCII character or none", id="a quote beyond ASCII"),
        pytest.param({"escape": "\\\\"}, "escape is", id="two escapes"),
        pytest.param({"escape": '"'}, "share a character", id="the quote as escape"),
        pytest.param({"header": []}, "header has an empty name or none", id="an empty header"),
        pytest.param({"header": ["a", ""]}, "header has an empty name or none", id="a column without a name"),
        pytest.param({"header": ["a", "a"]}, "header names one text twice", id="a column twice"),
        pytest.param({"header": ["a", 1]}, "header has 1, wanted texts", id="a number as name"),
        pytest.param({"header": ["week"]}, "header: column 'basket_id' is missing", id="a header without columns"),
        pytest.param({"header": [*HEADER, "x"]}, "header: column 'x' is not mapped", id="a header with more columns"),
        pytest.param({"nulls": [None]}, "nulls has None, wanted texts", id="NULL without quotes is null to YAML"),
        pytest.param({"nulls": ["a,b"]}, "which no unquoted field can be", id="a null with a delimiter"),
        pytest.param({"nulls": ['"']}, "which no unquoted field can be", id="a null with a quote"),
        pytest.param({"nulls": ["\\\\N"], "escape": "\\"}, "no unquoted field can be", id="a null with an escape"),
        pytest.param({"encoding": "utf-16"}, "convert them first (`iconv -f UTF-16 -t UTF-8`)", id="UTF-16"),
        pytest.param({"encoding": "UTF-32LE"}, "`iconv -f UTF-32LE", id="UTF-32"),
        pytest.param({"encoding": "ebcdic"}, "encoding 'ebcdic', wanted one of utf-8, gbk, gb18030", id="unknown"),
        pytest.param({"ignore": ["*"]}, "ignore has '*', which is for keys of JSON", id="every other column"),
        pytest.param({"format": "jsonl", "quote": "'"}, "quote is for csv, and the format is jsonl", id="JSON quotes"),
        pytest.param({"format": "jsonl", "header": ["a"]}, "header is for csv", id="a header of JSON"),
        pytest.param({"format": "jsonl", "ignore": ["a..b"]}, "key 'a..b' has an empty part", id="half a path"),
        pytest.param({"format": "jsonl", "ignore": ["WEEK", "week"]}, "key 'week' and another", id="another case"),
    ],
)
def test_a_dialect_is_refused_with_what_was_found_and_wanted(changes, says) -> None:
    assert says in problem_of(**changes)


@pytest.mark.parametrize("copied", ["user", "user.contact", "user.contact.phone"])
def test_an_object_with_an_identifier_in_it_is_not_copied_in_clear(copied) -> None:
    mapping = given(format="jsonl")
    mapping["columns"]["subject_token"]["token"] = "user.contact.phone"
    mapping["columns"]["product_id"] = {"from": copied}
    with pytest.raises(TerminalError, match=f"source column '{copied}' is an identifier"):
        parse_mapping(mapping, where="m")


def test_the_objects_of_a_path_are_those_it_leads_through() -> None:
    assert parents_of("a.b.c") == ("a", "a.b")
    assert parents_of("a") == ()


def test_ignoring_every_other_key_names_none() -> None:
    assert "*" not in parsed(format="jsonl", ignore=["*", "week"]).source_columns


def test_an_epoch_fills_timestamps_alone() -> None:
    mapping = given()
    mapping["columns"]["quantity"] = {"from": "quantity", "format": "epoch_s"}
    with pytest.raises(TerminalError, match="quantity is bigint, and epoch_s makes a timestamp"):
        parse_mapping(mapping, where="m")


def test_every_format_of_a_mapping_can_be_read() -> None:
    assert set(FORMATS) == {*files.FORMATS, TABLE}


@pytest.mark.parametrize("name", ENCODINGS)
def test_no_byte_of_another_character_ends_a_line(name) -> None:
    for point in range(0x110000):
        if 0xD800 <= point < 0xE000 or point == ord("\n"):
            continue
        try:
            encoded = chr(point).encode(name)
        except UnicodeEncodeError:
            continue
        assert b"\n" not in encoded


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_are_mappings(path) -> None:
    assert load_mapping(path).files
