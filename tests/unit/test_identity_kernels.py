"""Kernels of identity against slow, obvious oracles; no Spark here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.errors import TerminalError
from spark_jobs.identity.batches import Numbers, in_whole_groups
from spark_jobs.identity.unionfind import CLASHES, JOINED_ALREADY, JOINS, KEPT_APART, constrained_forest
from spark_jobs.identity.verification import certify, reached_by
from tests.components import components_by_search

Links = list[tuple[int, int]]
LINKS = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=80)
UNHURRIED = settings(deadline=None)  # the first call may compile a kernel
BIG = 2**60  # identifier numbers are 64 bits wide


def ends(links: Links) -> tuple[Numbers, Numbers]:
    return np.array([a for a, _ in links], np.int64) + BIG, np.array([b for _, b in links], np.int64) + BIG


def ordered_union(links: Links, unique: Sequence[int], apart: Links) -> tuple[list[int], list[int], list[int]]:
    """The rule in words: one link after the other; a link joins unless the two groups hold the same unique key, or the
    two ends of a pair that must stay apart."""
    group = {node: frozenset({node}) for link in links for node in link}
    verdicts = []
    for a, b in links:
        keys = [{unique[node] for node in group[end]} - {0} for end in (a, b)]
        both = group[a] | group[b]
        if group[a] is group[b]:
            verdicts.append(JOINED_ALREADY)
        elif keys[0] & keys[1]:
            verdicts.append(CLASHES)
        elif any(x in both and y in both and x != y for x, y in apart):
            verdicts.append(KEPT_APART)
        else:
            verdicts.append(JOINS)
            group.update(dict.fromkeys(both, both))
    return verdicts, [min(group[a]) for a, _ in links], [min(group[b]) for _, b in links]


@UNHURRIED
@given(
    LINKS,
    st.lists(st.integers(0, 3), min_size=41, max_size=41),
    st.lists(st.tuples(st.integers(0, 45), st.integers(0, 45)), max_size=4),
)
def test_the_constrained_forest_agrees_with_the_rule_in_words(links, unique, apart) -> None:
    keys = np.array(unique, np.int64)
    a, b = ends(links)
    verdicts, a_label, b_label = constrained_forest((a, b), (keys[a - BIG], keys[b - BIG]), ends(apart))
    wanted = ordered_union(links, unique, apart)
    assert (verdicts.tolist(), (a_label - BIG).tolist(), (b_label - BIG).tolist()) == wanted


def test_a_decision_holds_however_the_two_would_meet() -> None:
    nothing = np.zeros(3, np.int64)
    verdicts, _, _ = constrained_forest(ends([(1, 2), (2, 3), (3, 4)]), (nothing, nothing), ends([(1, 4), (9, 1)]))
    assert verdicts.tolist() == [JOINS, JOINS, KEPT_APART]


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=60))
def test_reached_nodes_agree_with_a_search(rows) -> None:
    wanted = 0
    for person in {person for person, _, _ in rows}:
        found = components_by_search([(a, b) for p, a, b in rows if p == person])
        wanted += len(found) - len(set(found.values()))
    person, a, b = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    assert reached_by(person, a, b) == wanted


def test_a_chain_of_thousands_is_reached_too() -> None:
    a = np.random.default_rng(5).permutation(5000)
    assert reached_by(np.zeros(4999, np.int64), a[:-1], a[1:]) == 4999


def batches(groups: Sequence[int], size: int) -> Iterator[pa.RecordBatch]:
    rows = [(group, n) for n, group in enumerate(sorted(groups))]
    for i in range(0, len(rows), size):
        part = rows[i : i + size]
        yield pa.RecordBatch.from_arrays(
            [pa.array([g for g, _ in part], pa.int64()), pa.array([n for _, n in part], pa.int64())], names=["g", "n"]
        )


@UNHURRIED
@given(st.lists(st.integers(0, 6), max_size=40), st.integers(1, 9))
def test_whole_groups_are_never_cut_and_no_row_is_lost(groups, size) -> None:
    pieces = list(in_whole_groups(batches(groups, size)))
    seen: set[int] = set()
    for group, _ in pieces:
        assert not seen & set(group.tolist())
        seen |= set(group.tolist())
    assert [n for _, numbers in pieces for n in numbers.tolist()] == list(range(len(groups)))


def test_the_verifier_says_what_is_broken() -> None:
    assert certify({"torn links": 0}, {"x": 3, "y": 3}) == {"torn links": 0, "x": 3, "y": 3}
    with pytest.raises(TerminalError, match="2 torn links"):
        certify({"torn links": 2}, {"x": 3, "y": 3})
    with pytest.raises(TerminalError, match="3 x; 4 y, wanted equal"):
        certify({"torn links": 0}, {"x": 3, "y": 4})
