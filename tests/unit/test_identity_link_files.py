"""Lists of links as people have them: what is a link, what is passed over, what is refused."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spark_jobs.errors import TerminalError
from spark_jobs.identity import packing
from spark_jobs.identity.link_files import Form, contracting, dictionary, form_of, is_number, with_seed
from spark_jobs.identity.packing import LINKS, READ, REFUSED
from spark_jobs.identity.texts import numbers_of

NUMBERS, TEXTS = Form(",", None, is_text=False), Form(",", None, is_text=True)


def read(form: Form, *lines: str | None) -> tuple[set[tuple[int, int]], int, int, str]:
    """Stars, links read, links refused, the first of them."""
    rows = [
        row
        for batch in contracting(form)([pa.record_batch([pa.array(lines, pa.string())], names=["value"])])
        for row in batch.to_pylist()
    ]
    packed = pa.RecordBatch.from_pylist([row for row in rows if row["kind"] == LINKS], schema=packing.SCHEMA)
    blocks = packing.unpacked([packed])
    stars = {pair for block in blocks for pair in zip(block.a.tolist(), block.b.tolist(), strict=True)}
    refused = [row for row in rows if row["kind"] == REFUSED]
    (total,) = [row["rows"] for row in rows if row["kind"] == READ]
    return stars, total, sum(row["rows"] for row in refused), refused[0]["a"].decode() if refused else ""


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        pytest.param("2,1", True, id="two numbers"),
        pytest.param("  2 , 1 ", True, id="blanks around them"),
        pytest.param('"2","1"', True, id="quoted"),
        pytest.param("# 5,6", False, id="a comment"),
        pytest.param("   ", False, id="a blank line"),
        pytest.param("", False, id="an empty line"),
        pytest.param("2,1\r", True, id="a line of Windows"),
        pytest.param("\ufeff2,1", True, id="the first line of Windows"),
    ],
)
def test_a_line_is_a_link_or_passed_over(line: str, is_one: bool) -> None:
    assert read(NUMBERS, line) == ({(2, 1)} if is_one else set(), int(is_one), 0, "")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param("3", "1 columns", id="one column"),
        pytest.param("3,4,5", "3 columns", id="three columns"),
        pytest.param("3,", "('3', ''): an end is empty", id="an empty end"),
        pytest.param("3,007", "('3', '007'): no 64-bit number", id="leading zeros"),
        pytest.param("3,+7", "no 64-bit number", id="a plus"),
        pytest.param("3,4.0", "no 64-bit number", id="a fraction"),
        pytest.param("3,9223372036854775808", "no 64-bit number", id="one more than 64 bits hold"),
        pytest.param("3,abc", "no 64-bit number", id="a word"),
    ],
)
def test_what_is_no_link_is_refused_and_shown_and_the_others_are_read(line: str, shown: str) -> None:
    stars, links, refused, first = read(NUMBERS, "2,1", line, "9,8")
    assert (stars, links, refused) == ({(2, 1), (9, 8)}, 2, 1)
    assert shown in first


@pytest.mark.parametrize("form", [pytest.param(NUMBERS, id="numbers"), pytest.param(TEXTS, id="texts")])
def test_a_quote_that_does_not_end_takes_no_line_with_it_in_silence(form: Form) -> None:
    _, links, refused, first = read(form, "2,1", '9,"8', "7,6", "5,4")
    assert links + refused == 4
    assert refused >= 2
    assert "quote" in first


def test_the_ends_of_64_bits_are_numbers() -> None:
    assert read(NUMBERS, "-9223372036854775808,9223372036854775807")[:2] == ({(2**63 - 1, -(2**63))}, 1)
    assert is_number("-9223372036854775808")
    assert not is_number("-9223372036854775809")
    assert not is_number("-0")


def test_names_are_passed_over_wherever_a_file_begins() -> None:
    form = Form(",", "a,b", is_text=False)
    assert read(form, "a,b", "2,1", "a,b", "3,1")[:3] == ({(2, 1), (3, 1)}, 2, 0)


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        pytest.param(["1,2"], Form(",", None, is_text=False), id="comma"),
        pytest.param(["# made today", "", "1\t2"], Form("\t", None, is_text=False), id="tab, after a comment"),
        pytest.param(["1 2"], Form(" ", None, is_text=False), id="blank"),
        pytest.param(["a;b", "1;2"], Form(";", "a;b", is_text=False), id="names above numbers"),
        pytest.param(["a,b", "c,d"], Form(",", None, is_text=True), id="words are no names of words"),
        pytest.param(["1,2", "1,x"], Form(",", None, is_text=True), id="one word makes texts"),
        pytest.param(["1,2", "1,07"], Form(",", None, is_text=True), id="a leading zero makes texts"),
        pytest.param(["\ufeff1,2"], Form(",", None, is_text=False), id="the mark of Windows"),
        pytest.param([], Form(",", None, is_text=False), id="nothing"),
    ],
)
def test_the_first_lines_tell_the_form(lines: list[str], wanted: Form) -> None:
    assert form_of(lines, delimiter=None, has_names=False, is_text=False) == wanted


def test_what_is_said_goes_before_what_is_found() -> None:
    assert form_of(["a b,c d"], delimiter=",", has_names=False, is_text=False) == Form(",", None, is_text=True)
    assert form_of(["a,b", "c,d"], delimiter=None, has_names=True, is_text=False).names == "a,b"
    assert form_of(["1,2"], delimiter=None, has_names=False, is_text=True).is_text
    with pytest.raises(TerminalError, match="wanted two ids"):
        form_of(["alone"], delimiter=None, has_names=False, is_text=False)


def test_columns_without_lines_are_links_too() -> None:
    ends = pa.record_batch([pa.array([3, None, 5]), pa.array([2, 2, None])], names=["a", "b"])
    rows = [row for batch in contracting(Form(None, None, is_text=False))([ends]) for row in batch.to_pylist()]
    assert {row["kind"]: row["rows"] for row in rows} == {LINKS: 1, READ: 1, REFUSED: 2}


@settings(deadline=None)
@example(["", "\x01", "\x02\x00"], 0)
@given(st.lists(st.text(max_size=20), unique=True, max_size=30), st.integers(0, 3))
def test_texts_have_a_number_that_depends_on_nothing_else(texts: list[str], seed: int) -> None:
    values = pa.array(["before", *texts], pa.string())
    numbers = numbers_of(values.slice(1), seed).tolist()
    assert numbers == [numbers_of(pa.array([text], pa.string()), seed)[0] for text in texts]
    assert len(set(numbers)) == len(texts)
    if texts:
        assert numbers != numbers_of(values.slice(1), seed + 1).tolist()


def test_the_dictionary_has_every_text_with_the_number_of_its_links() -> None:
    lines = pa.record_batch([pa.array(["b,a", "c,a", " a , ü "], pa.string())], names=["value"])
    for seed in (0, 1):
        form = with_seed(TEXTS, seed)
        told = {row["text"]: row["node"] for batch in dictionary(form)([lines]) for row in batch.to_pylist()}
        assert sorted(told) == ["a", "b", "c", "ü"]
        stars, links, _, _ = read(form, "b,a", "c,a", " a , ü ")
        assert {end for star in stars for end in star} == set(told.values())
        assert links == 3
