"""Connected components in Spark against a search: any graph, any partitioning, with and without rounds."""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs.identity import components
from spark_jobs.identity.components import ROOT_LINK_BUDGET, Keep
from spark_jobs.storage.checkpoints import Scratch
from spark_jobs.storage.delta import Lake
from tests.components import components_by_search

pytestmark = pytest.mark.thorough

Links = list[tuple[int, int]]
LOWEST, HIGHEST = -(2**63), 2**63 - 1
MILLION = 1_000_000
# Without it Spark puts what is small together again, and one task sees everything.
MANY_TASKS = {
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
    "spark.sql.shuffle.partitions": "5",
    "spark.sql.files.openCostInBytes": str(128 << 20),  # a task a file
}


@pytest.fixture
def keep(lake: Lake, tmp_path: Path) -> Keep:
    return Scratch(lake, str(tmp_path / "work")).keep


@pytest.fixture
def _many_tasks(spark: SparkSession) -> Iterator[None]:
    before = {name: spark.conf.get(name) or "" for name in MANY_TASKS}
    for name, value in MANY_TASKS.items():
        spark.conf.set(name, value)
    yield
    for name, value in before.items():
        spark.conf.set(name, value)


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
    "the ends of 64 bits": [(LOWEST, HIGHEST), (HIGHEST, 0), (HIGHEST - 1, LOWEST + 1)],
    "two equal triangles": [(1, 2), (2, 3), (3, 1), (11, 12), (12, 13), (13, 11)],
    "a star": [(50, leaf) for leaf in range(100, 400)],
    "a chain in order": [(n, n + 1) for n in range(250)],
    "a chain in disorder": shuffled_chain(400),
    **{f"random {seed}": random_links(seed) for seed in range(3)},
}


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("budget", [pytest.param(ROOT_LINK_BUDGET, id="one task"), pytest.param(0, id="rounds")])
@pytest.mark.usefixtures("_many_tasks")
def test_components_agree_with_a_search(lake: Lake, keep: Keep, graph: str, budget: int) -> None:
    links = GRAPHS[graph]
    frame = lake.spark.createDataFrame(links, "identifier_a long, identifier_b long").repartition(4)
    rows = components.labels(frame, keep, at_most=len(links), budget=budget).collect()
    assert len(rows) == len({row.node for row in rows})
    assert {row.node: row.root for row in rows} == components_by_search(links)


@pytest.mark.parametrize(
    "way",
    [
        pytest.param((("0", 0), 2 * MILLION), id="a star in one task"),
        pytest.param((("0", 0), 50_000), id="a star in rounds"),
        pytest.param((("id + 1", 1), 2 * MILLION), id="a chain in one task"),
        pytest.param((("id + 1", 1), 50_000), id="a chain in rounds"),
    ],
)
@pytest.mark.usefixtures("_many_tasks")
def test_a_million_links(
    keep: Keep, spark: SparkSession, caplog: pytest.LogCaptureFixture, way: tuple[tuple[str, int], int]
) -> None:
    (to, label), budget = way
    links = spark.range(1, MILLION).selectExpr("id", f"CAST({to} AS bigint) AS b").repartition(6, "b")
    with caplog.at_level(logging.INFO):
        found = components.labels(links, keep, at_most=2 * MILLION, budget=budget)
    sums = found.selectExpr("count(*)", "count(DISTINCT node)", "min(root)", "max(root)").collect()[0]
    assert tuple(sums) == (MILLION, MILLION, label, label)
    rounds = sum(record.message.startswith("round ") for record in caplog.records)
    assert 1 <= rounds <= 8 if budget == 50_000 else rounds == 0
