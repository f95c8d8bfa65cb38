"""What is done with a whole array of identifiers is what the rules say of each of them."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spark_jobs.contracts.identifiers import IDENTIFIER_TYPES, NOBODY, refusal
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.plain import plainly_good
from spark_jobs.protection.tokens import TokenColumn, Tokeniser, replace_columns

DIGITS = st.text("0123456789", min_size=6, max_size=16)
VALUES = st.one_of(
    DIGITS,
    DIGITS.map("+{}".format),
    DIGITS.map("0086{}".format),
    st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True),
    st.sampled_from(sorted(NOBODY)),
    st.sampled_from(
        ["", "aaab", "+86138001380000", "aaabaaab", "ABC", "11111111111", "\uff11\uff13912345678", "x" * 70]
    ),
    st.text("aAbB", max_size=12),
    st.text("aB1 -\t\u3000é", max_size=12),
    st.text(st.characters(codec="utf-8"), max_size=8),
)


def by_the_rules(tokeniser: Tokeniser, kind: str, value: str | None) -> tuple[bytes | None, str | None]:
    if value is None:
        return None, None
    reason = "missing" if value == "" else refusal(kind, value)
    return (None, reason) if reason else (tokeniser.token(kind, "s", value), None)


@pytest.mark.parametrize("kind", [*IDENTIFIER_TYPES, "undeclared"])
@given(values=st.lists(st.one_of(st.none(), VALUES), max_size=30))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_array_is_treated_as_its_values_are(key_file: Path, kind: str, values: list[str | None]) -> None:
    tokeniser = Tokeniser(load_root_keys(key_file))
    batch = pa.RecordBatch.from_arrays([pa.array(["before", *values], pa.string()).slice(1)], names=["clear"])
    found = replace_columns(batch, [TokenColumn("clear", "token", kind, "s", "why")], [], tokeniser=tokeniser)
    wanted = [by_the_rules(tokeniser, kind, value) for value in values]
    assert list(zip(found.column("token").to_pylist(), found.column("why").to_pylist(), strict=True)) == wanted


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("phone", ["13912345678", "+8613912345678", "+4917612345678"]),
        ("member_no", ["M1", "1001", "m-77"]),
        ("openid", ["oGZUI0egBJY1zhBYw2KhdUfwVJJE"]),
        ("device", ["6F9619FF-8B86-D011-B42D-00CF4FC964FF"]),
    ],
)
def test_usual_identifiers_are_plain(kind: str, values: list[str]) -> None:
    is_good, texts = plainly_good(kind, pa.array(values))
    assert is_good.all()
    assert texts.to_pylist() == [IDENTIFIER_TYPES[kind].normalise(value) for value in values]
