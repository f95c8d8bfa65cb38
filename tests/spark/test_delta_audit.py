"""The audit of Delta tables: each kind of damage is planted once and named, and a sound table has no problem."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from spark_jobs.contracts.core import ORDERS, PRODUCTS
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.upkeep import job
from spark_jobs.upkeep.job import audit
from tests.tag_histories import Order, local
from tests.tag_tables import add, order_row, settings_of

COMMITS = 3  # beside the one that made the table


def on_day(day: int) -> Order:
    return Order(local(f"2017-12-{day:02d}T10:00"))


@pytest.fixture(scope="module")
def filled(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which one table has one file a commit: made once, copied for each test."""
    folder: Path = tmp_path_factory.mktemp("filled") / "lake"
    for number in range(COMMITS):
        add(Lake(spark, str(folder)), ORDERS, [order_row(1, number, on_day(1 + number))])
    return folder


@pytest.fixture
def table(filled: Path, lake: Lake) -> Path:
    """The folder of the table in a lake of the test's own."""
    shutil.copytree(filled, lake.root)
    return Path(lake.path_of(ORDERS))


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file as a disk does that has no checksums: HDFS keeps none for Delta's log."""
    before = path.read_bytes()
    after = change(before)
    assert after != before, "the damage hit nothing"
    path.write_bytes(after)
    path.with_name(f".{path.name}.crc").unlink(missing_ok=True)


def commit_file(table: Path, version: int) -> Path:
    return table / "_delta_log" / f"{version:020d}.json"


def data_file(table: Path) -> Path:
    return min(path for path in table.rglob("*.parquet") if "_delta_log" not in path.parts)


def lose_a_commit(table: Path) -> None:
    commit_file(table, 2).unlink()


def lose_the_oldest_commit(table: Path) -> None:
    commit_file(table, 0).unlink()


def empty_the_newest_commit(table: Path) -> None:
    rewrite(commit_file(table, COMMITS), lambda _: b"")


def flip_a_byte_in_an_action(table: Path) -> None:
    rewrite(commit_file(table, 2), lambda content: content.replace(b'{"add"', b'{"xdd"'))


def flip_a_byte_in_a_size(table: Path) -> None:
    rewrite(commit_file(table, 2), lambda content: content.replace(b'"size":', b'"size":1'))


def tear_a_line(table: Path) -> None:
    rewrite(commit_file(table, 2), lambda content: content[:-20])


def replace_the_newest_commit(table: Path) -> None:
    rewrite(commit_file(table, COMMITS), lambda content: content.replace(b'"txnId":"', b'"txnId":"other-'))


def lose_a_data_file(table: Path) -> None:
    data_file(table).unlink()


def cut_a_data_file(table: Path) -> None:
    rewrite(data_file(table), lambda content: content[:-1])


def forget_an_add(table: Path) -> None:
    def without_add(content: bytes) -> bytes:
        return b"".join(line for line in content.splitlines(keepends=True) if not line.startswith(b'{"add"'))

    rewrite(commit_file(table, 2), without_add)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param(lose_a_commit, "1 of the commits between 0 and 3 are missing", id="a commit is missing"),
        pytest.param(lose_the_oldest_commit, "the oldest commit is 1, and there is no checkpoint", id="no beginning"),
        pytest.param(empty_the_newest_commit, "commits are empty: 3", id="the newest commit is empty"),
        pytest.param(flip_a_byte_in_an_action, "commit 2 has 1 lines that are no action", id="add became xdd"),
        pytest.param(flip_a_byte_in_a_size, "0 are missing and 1 have another length", id="a size changed"),
        pytest.param(tear_a_line, "commit 2 has 1 lines that are no action", id="a torn line"),
        pytest.param(
            replace_the_newest_commit, "as its newest transaction, the checksum file says", id="another commit"
        ),
        pytest.param(lose_a_data_file, "1 are missing and 0 have another length", id="a data file is missing"),
        pytest.param(cut_a_data_file, "0 are missing and 1 have another length", id="a data file is cut"),
        pytest.param(forget_an_add, "gives 2 files, the checksum file says 3", id="a file is forgotten"),
    ],
)
def test_damage_is_named(lake: Lake, table: Path, damage: Callable[[Path], None], says: str) -> None:
    damage(table)
    assert says in "; ".join(audit(lake, ORDERS).problems)


def test_a_sound_table_has_no_problem_with_a_checkpoint_and_without(lake: Lake, table: Path) -> None:
    seen = audit(lake, ORDERS)
    assert (seen.problems, seen.version, seen.files, seen.has_checksum) == ([], COMMITS, COMMITS, True)
    lake.spark.sql(f"DELETE FROM delta.`{table}` WHERE ordered_date = '2017-12-02'")
    add(lake, ORDERS, [order_row(2, number, on_day(20)) for number in range(2)])
    for number in range(4, 12):
        add(lake, ORDERS, [order_row(1, number, on_day(1 + number))])
    checkpoint = table / "_delta_log" / f"{10:020d}.checkpoint.parquet"
    assert checkpoint.is_file()
    newest = delta.current_version(lake, ORDERS)
    for version in range(10):
        commit_file(table, version).unlink()  # as Delta's clean-up does after its retention
    seen = audit(lake, ORDERS)
    assert (seen.problems, seen.version) == ([], newest)
    assert seen.files == len(delta.read(lake, ORDERS).inputFiles())
    checkpoint.unlink()
    assert "the oldest commit is 10, and there is no checkpoint" in "; ".join(audit(lake, ORDERS).problems)


def test_the_job_names_every_problem_and_what_to_do(lake: Lake, table: Path) -> None:
    everything = argparse.Namespace(table=None, streamed=False)
    delta.ensure(lake, PRODUCTS)
    assert job.run(lake.spark, settings_of(lake), everything)["tables"] == 2
    streamed = argparse.Namespace(table=None, streamed=True)
    facts = job.run(lake.spark, settings_of(lake), streamed)
    assert (facts["tables"], facts["files"], facts["without checksum file"]) == (1, COMMITS, [])
    with pytest.raises(TerminalError, match=r"holds no Delta table core\.events"):
        job.run(lake.spark, settings_of(lake), argparse.Namespace(table=["core.events"], streamed=False))
    lose_a_data_file(table)
    with pytest.raises(TerminalError, match=r"(?s)1 problems in 2 tables:.*core\.orders.*let no writer start"):
        job.run(lake.spark, settings_of(lake), everything)
    with pytest.raises(TerminalError, match=r"no contract names core\.nothing"):
        job.preflight(settings_of(lake), argparse.Namespace(table=["core.nothing"]))
