"""The links of the benchmark, and that its peers answer the same question."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.identity import peers
from bench.identity.links import sizes, write_links
from tests.components import components_by_search

LINKS = 3_000


def pairs_of(folder: Path) -> list[tuple[int, int]]:
    a, b = (column.to_pylist() for column in pq.read_table(folder).columns)
    return list(zip(a, b, strict=True))


def groups_of(labels: dict[int, int]) -> set[frozenset[int]]:
    found: dict[int, set[int]] = {}
    for node, label in labels.items():
        found.setdefault(label, set()).add(node)
    return {frozenset(members) for members in found.values()}


def test_links_are_persons_with_a_power_law_and_components_of_many_sizes(tmp_path: Path) -> None:
    pairs = pairs_of(write_links(tmp_path, LINKS, is_wide=False))
    persons, total = sizes(LINKS)
    assert len(pairs) == LINKS
    assert {person for person, _ in pairs} <= set(range(persons))
    assert {other for _, other in pairs} <= set(range(total))
    of_one = sorted((len(group) for group in groups_of(components_by_search(pairs))), reverse=True)
    assert of_one[0] > 20
    assert of_one.count(2) > 20


def test_wide_links_are_the_same_links(tmp_path: Path) -> None:
    dense, wide = (components_by_search(pairs_of(write_links(tmp_path, LINKS, is_wide=w))) for w in (False, True))
    assert sorted(map(len, groups_of(dense))) == sorted(map(len, groups_of(wide)))
    assert max(wide) > 2**62


@pytest.mark.parametrize("peer", [peers.with_scipy, peers.with_rustworkx, peers.with_duckdb])
def test_a_peer_finds_the_components(tmp_path: Path, peer: Callable[[Path, Path], None]) -> None:
    links = write_links(tmp_path, LINKS, is_wide=True)
    peer(links, tmp_path)
    (file,) = tmp_path.glob("*.parquet")
    found = pq.read_table(file).to_pydict()
    labels = dict(zip(found["node"], found["root"], strict=True))
    assert groups_of(labels) == groups_of(components_by_search(pairs_of(links)))
