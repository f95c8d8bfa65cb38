"""The search for a shortest path against a slow, obvious one; names of persons and identifiers."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.__main__ import _lines
from spark_jobs.errors import TerminalError
from spark_jobs.identity.naming import PersonName, ValueName, moment_of, named, shown, tokens_of
from spark_jobs.identity.paths import SEARCHED, shortest_path, walk
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser

Links = list[tuple[int, int]]
BIG = 2**60  # identifier numbers are 64 bits wide
LINKS = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=1, max_size=60)
ENDS = st.sets(st.integers(0, 25), min_size=1, max_size=4)


def distance(links: Links, starts: set[int], ends: set[int]) -> int | None:
    """How many links the shortest way takes, ring by ring."""
    nodes = {node for link in links for node in link}
    reached, steps = starts & nodes, 0
    while reached and not reached & ends:
        more = {y for a, b in links for x, y in ((a, b), (b, a)) if x in reached} - reached
        if not more:
            return None
        reached, steps = reached | more, steps + 1
    return steps if reached else None


def searched(links: Links, starts: set[int], ends: set[int]) -> Links:
    a, b = (np.array(side, np.int64) + BIG for side in zip(*links, strict=True))
    one, other = (np.array(sorted(side), np.int64) + BIG for side in (starts, ends))
    return [(x - BIG, y - BIG) for x, y in shortest_path((a, b), starts=one, ends=other)]


@settings(deadline=None)
@given(LINKS, ENDS, ENDS)
def test_the_search_agrees_with_a_slow_one(links, starts, ends) -> None:
    path = searched(links, starts, ends)
    assert len(path) == (distance(links, starts, ends) or 0)
    if path:
        assert path[0][0] in starts
        assert path[-1][1] in ends
        assert all(before[1] == after[0] for before, after in pairwise(path))
        assert {tuple(sorted(link)) for link in path} <= {tuple(sorted(link)) for link in links}


@settings(deadline=None)
@given(st.permutations([(0, 1), (1, 2), (2, 9), (0, 3), (3, 4), (4, 9), (0, 5), (5, 2)]))
def test_of_several_paths_it_is_always_the_same_one(links) -> None:
    assert searched(links, {0}, {9}) == [(0, 1), (1, 2), (2, 9)]


def test_a_chain_of_thousands_is_walked() -> None:
    order = np.random.default_rng(3).permutation(20_000)
    path = searched([(int(x), int(x) + 1) for x in order], {0}, {20_000})
    assert path == [(x, x + 1) for x in range(20_000)]


def test_the_kernel_takes_batches_and_says_how_long_the_path_is() -> None:
    rows = [(1, 2, 1, 0, 0, 0), (2, 3, 0, 0, 0, 0), (3, 4, 0, 0, 0, 1)]
    batches = [
        pa.RecordBatch.from_arrays([pa.array([value], pa.int64()) for value in row], names=list(SEARCHED))
        for row in rows
    ]
    found = [row for batch in walk(batches) for row in batch.to_pylist()]
    assert found == [{"step": n, "steps": 3, "from_no": n, "to_no": n + 1} for n in (1, 2, 3)]
    assert list(walk([])) == []
    assert list(walk(batches[:1])) == []


def test_names_of_persons_and_identifiers() -> None:
    person = "0F4B8A2E-6c1d-4b0a-9a55-7c8f2e9d3b16"
    assert named(person) == PersonName(person.lower())
    assert named("phone:+86 138 0000 1111") == ValueName("phone", None, value="+86 138 0000 1111")
    assert named("login@shop:ann@mail.example:8") == ValueName("login", "shop", value="ann@mail.example:8")
    token = "ab" * 16
    assert named(f"fax@:token:{token}") == ValueName("fax", "", token=bytes.fromhex(token))
    assert shown("fax", "", bytes.fromhex(token)) == f"fax@:token:{token}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("13812345678", "found neither a master id nor TYPE:VALUE", id="no type"),
        pytest.param("fax:13812345678", "no door makes tokens of type 'fax'", id="undeclared type"),
        pytest.param("phone:1234", "can be nobody's: not a valid value", id="no phone"),
        pytest.param("phone:13800138000", "can be nobody's: a constant that means nobody", id="nobody"),
    ],
)
def test_what_names_nothing_is_refused_without_the_value(text: str, said: str) -> None:
    with pytest.raises(TerminalError) as raised:
        named(text)
    assert said in str(raised.value)
    assert text.rpartition(":")[2] not in str(raised.value)
    assert "13812345678" not in repr(ValueName("phone", None, value="13812345678"))


def test_a_value_counts_in_every_scope_unless_one_is_named(key_file: Path) -> None:
    tokeniser = Tokeniser(load_root_keys(key_file))
    assert tokens_of(ValueName("login", None, value="Ann"), ["shop", "bank"], key_file) == [
        ("bank", tokeniser.token("login", "bank", "ann")),
        ("shop", tokeniser.token("login", "shop", "ann")),
    ]
    assert [scope for scope, _ in tokens_of(ValueName("login", "shop", value="ann"), ["shop", "bank"], key_file)] == [
        "shop"
    ]
    assert tokens_of(ValueName("login", None, token=b"t" * 16), ["shop"], Path("no key")) == [("shop", b"t" * 16)]


def test_instants_need_their_offset() -> None:
    assert moment_of("1970-01-01T01:00:00.000001+01:00", "--at") == 1
    for text in ("2018-01-01T03:00:00", "soon"):
        with pytest.raises(TerminalError, match="--at is"):
            moment_of(text, "--at")


def test_facts_with_entries_are_printed_a_line_each() -> None:
    lines = list(_lines({"steps": 1, "names": ["x"], "path": [{"from": "a", "to": "b"}]}))
    assert lines == ["steps: 1\n", "names: ['x']\n", "path:\n", '  {"from": "a", "to": "b"}\n']
