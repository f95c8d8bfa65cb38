"""Connected components in Spark against union-find: any graph, any partitioning, with and without rounds."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest

from spark_jobs.identity.components import ROOT_LINK_BUDGET
from spark_jobs.identity.job import Work, label_components
from spark_jobs.storage.checkpoints import Scratch

pytestmark = pytest.mark.thorough

Links = list[tuple[int, int]]


def random_links(seed: int) -> Links:
    chance = random.Random(seed)
    nodes = chance.randrange(2, 120)
    return [(chance.randrange(nodes), chance.randrange(nodes)) for _ in range(chance.randrange(1, 150))]


def shuffled_chain(length: int) -> Links:
    nodes = list(range(length))
    random.Random(length).shuffle(nodes)
    return list(itertools.pairwise(nodes))


GRAPHS: dict[str, Links] = {
    "no link": [],
    "a self link": [(7, 7)],
    "the same link twice and turned": [(1, 2), (1, 2), (2, 1)],
    "two equal triangles": [(1, 2), (2, 3), (3, 1), (11, 12), (12, 13), (13, 11)],
    "a star": [(50, leaf) for leaf in range(100, 400)],
    "a chain in order": [(n, n + 1) for n in range(250)],
    "a chain in disorder": shuffled_chain(400),
    **{f"random {seed}": random_links(seed) for seed in range(5)},
}


def components_by_union_find(links: Links) -> dict[int, int]:
    parent = {node: node for link in links for node in link}

    def find(node: int) -> int:
        while parent[node] != node:
            node = parent[node]
        return node

    for a, b in links:
        low, high = sorted((find(a), find(b)))
        parent[high] = low
    return {node: find(node) for node in parent}


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize(
    "way", [pytest.param((3, ROOT_LINK_BUDGET), id="one task finishes"), pytest.param((4, 0), id="rounds to the end")]
)
def test_components_agree_with_union_find(lake, tmp_path: Path, graph: str, way: tuple[int, int]) -> None:
    links, (parts, budget) = GRAPHS[graph], way
    frame = lake.spark.createDataFrame(links, "identifier_a long, identifier_b long").repartition(parts)
    work = Work(lake, Scratch(lake, str(tmp_path / "work")), "run", budget, frame)
    rows = label_components(work, frame, at_most=len(links)).collect()
    assert len(rows) == len({row.node for row in rows})
    assert {row.node: row.root for row in rows} == components_by_union_find(links)
