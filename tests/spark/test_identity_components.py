"""`identity components`: lists of links in every form against a slow search, and what is refused."""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.identity import components_job, link_files
from spark_jobs.identity.components import ROOT_LINK_BUDGET
from spark_jobs.identity.contraction import Kernel
from spark_jobs.storage.delta import Lake
from tests.components import components_by_search
from tests.tag_tables import settings_of

pytestmark = pytest.mark.thorough

NUMBERS = [(random.Random(seed).randrange(90), random.Random(-seed).randrange(90)) for seed in range(1, 80)]
TEXTS = [(f"人{a}", f"web:{b}") for a, b in NUMBERS]


def found_by(lake: Lake, links: Path, out: Path, **more: object) -> tuple[dict[str, object], dict[Any, Any]]:
    given = {"columns": None, "delimiter": None, "header": False, "text": False, "root_link_budget": ROOT_LINK_BUDGET}
    args = argparse.Namespace(links=str(links), out=str(out), **{**given, **more})
    facts = components_job.run(lake.spark, settings_of(lake), args)
    rows = lake.spark.read.parquet(str(out)).collect()
    assert len(rows) == len({row["id"] for row in rows})
    return facts, {row["id"]: row["component"] for row in rows}


def lines_of(links: list[tuple[Any, Any]], mark: str = ",") -> str:
    return "\n".join(["# a list", "", *(f"{a}{mark}{b}" for a, b in links)]) + "\n"


@pytest.mark.parametrize(
    ("links", "form"),
    [
        pytest.param(NUMBERS, (",", ROOT_LINK_BUDGET), id="numbers"),
        pytest.param(NUMBERS, ("\t", 5), id="numbers, tabs, in rounds"),
        pytest.param(TEXTS, (";", ROOT_LINK_BUDGET), id="texts"),
        pytest.param([], (",", 0), id="nothing"),
        pytest.param([(-(2**63), 2**63 - 1), (5, 5)], (",", 0), id="the ends of 64 bits"),
    ],
)
def test_a_file_of_lines(lake: Lake, tmp_path: Path, links: list[tuple[Any, Any]], form: tuple[str, int]) -> None:
    file, (mark, budget) = tmp_path / "links.csv", form
    file.write_text(lines_of(links, mark), encoding="utf-8")
    facts, found = found_by(lake, file, tmp_path / "out", root_link_budget=budget)
    wanted = components_by_search(links)
    assert found == wanted
    counts = {"links": len(links), "ids": len(wanted), "components": len(set(wanted.values()))}
    assert {name: facts[name] for name in counts} == counts
    assert not list((Path(lake.root) / "work" / "components").iterdir())


@pytest.mark.parametrize("links", [pytest.param(NUMBERS, id="numbers"), pytest.param(TEXTS, id="texts")])
def test_columns_of_parquet(lake: Lake, tmp_path: Path, links: list[tuple[Any, Any]]) -> None:
    kind = "int" if links is NUMBERS else "string"
    rows = lake.spark.createDataFrame([(a, "other", b) for a, b in links], f"a {kind}, `x.y` string, b {kind}")
    rows.repartition(3).write.parquet(str(tmp_path / "links"))
    assert found_by(lake, tmp_path / "links", tmp_path / "out", columns="a,b")[1] == components_by_search(links)
    with pytest.raises(TerminalError, match=r"a, x\.y, b, wanted two of them"):
        found_by(lake, tmp_path / "links", tmp_path / "other")


def test_texts_that_meet_in_one_number_are_parted(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the first seed all texts have few numbers: a dictionary that did not look would join strangers."""
    file, seeds = tmp_path / "links.csv", []
    file.write_text(lines_of(TEXTS), encoding="utf-8")
    honest = link_files.with_seed

    def noted(form: link_files.Form, seed: int) -> link_files.Form:
        seeds.append(seed)
        return honest(form, seed)

    monkeypatch.setattr(link_files, "with_seed", noted)
    monkeypatch.setattr(link_files, "dictionary", _few_numbers_at_first(link_files.dictionary))
    assert found_by(lake, file, tmp_path / "out")[1] == components_by_search(TEXTS)
    assert max(seeds) == 1


def _few_numbers_at_first(honest: Callable[[link_files.Form], Kernel]) -> Callable[[link_files.Form], Kernel]:
    def dictionary(form: link_files.Form) -> Kernel:
        kernel, is_first = honest(form), form.seed == 0

        def make(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in kernel(batches):
                node = pa.array([0] * batch.num_rows, pa.int64()) if is_first else batch.column("node")
                yield pa.RecordBatch.from_arrays([node, batch.column("text")], names=["node", "text"])

        return make

    return dictionary


def test_a_line_that_is_no_link_writes_nothing(lake: Lake, tmp_path: Path) -> None:
    file, out = tmp_path / "links.csv", tmp_path / "out"
    file.write_text("1,2\n" * 1_200 + "3,x\n4,\n", encoding="utf-8")
    with pytest.raises(TerminalError, match=r"2 lines of .* are no links, such as .*nothing was written"):
        found_by(lake, file, out)
    assert not out.exists()


def test_what_stands_in_the_way_is_named(lake: Lake, tmp_path: Path) -> None:
    file, out = tmp_path / "links.csv", tmp_path / "out"
    with pytest.raises(TerminalError, match=r"links\.csv is not there"):
        found_by(lake, file, out)
    file.write_text("1,2\n", encoding="utf-8")
    out.mkdir()
    with pytest.raises(TerminalError, match="is there already"):
        found_by(lake, file, out)


def test_the_peer_of_the_benchmark_finds_the_same(lake: Lake, tmp_path: Path) -> None:
    from bench.identity.links import write_links
    from bench.identity.peers import with_stars

    links = write_links(tmp_path, 300, is_wide=False)
    with_stars(lake.spark, links, tmp_path)
    found = {row["node"]: row["root"] for row in lake.spark.read.parquet(str(tmp_path / "stars.parquet")).collect()}
    pairs = [(row["a"], row["b"]) for row in lake.spark.read.parquet(str(links)).collect()]
    assert found == components_by_search(pairs)
