"""A small history that was copied and settled: made once for a whole run, then copied for each test of it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from migration.copying import copy_all
from migration.work import Work
from spark_jobs.protection.keys import create_root_key_file
from spark_jobs.storage.delta import Lake
from tests.migration_files import OldSystem, planned
from tests.settled_history import settled, three_files


@pytest.fixture(scope="session")
def settled_once(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Old system (`three_files`), key, lake and ledger after copy and settlement."""
    folder = tmp_path_factory.mktemp("settled")
    key_file = folder / "keys" / "root.json"
    create_root_key_file(key_file)
    with planned(three_files(folder / "old"), Lake(spark, str(folder / "lake")), key_file) as work:
        copy_all(work)
        settled(work)
    return folder


@pytest.fixture
def history(settled_once: Path, tmp_path: Path) -> Path:
    """All of it, this test's own."""
    return Path(shutil.copytree(settled_once, tmp_path / "settled"))


@pytest.fixture
def at_rest(history: Path, spark: SparkSession) -> Iterator[Work]:
    """Everything is copied and settled."""
    lake = Lake(spark, str(history / "lake"))
    with planned(OldSystem(history / "old"), lake, history / "keys" / "root.json") as work:
        yield work
