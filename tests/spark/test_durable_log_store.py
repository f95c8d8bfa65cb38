"""The log store in Java: damage to a commit is an error, never fewer rows, and of several writers none is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyspark
import pytest

from services.bundle import log_store
from services.setup import paths
from tests.durable_log_run import COMMITS_EACH, ROWS, WRITERS

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def jar(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("jar") / "log-store.jar"
    spark_jars = os.environ["DATABANK_SPARK_JARS"].split(",")
    log_store.compile_jar(path, [Path(pyspark.__file__).parent / "jars" / "*", *map(Path, spark_jars)])
    return path


@pytest.fixture(scope="module")
def found(jar: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    # A local disk stands for HDFS: Hadoop keeps checksums on both, unless who writes asks it not to, as Delta does.
    store = "--conf spark.delta.logStore.file.impl=databank.storage.DurableLogStore"
    answer = subprocess.run(
        [sys.executable, "-m", "tests.durable_log_run", str(jar), str(tmp_path_factory.mktemp("lake"))],
        env={**os.environ, "PYSPARK_SUBMIT_ARGS": f"--driver-memory 1024m {store} pyspark-shell"},
        cwd=paths.REPO,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert answer.returncode == 0, answer.stderr[-4000:]
    facts: dict[str, Any] = json.loads(answer.stdout)
    return facts


def test_a_sound_table_is_read_and_its_commits_have_checksums(found: dict[str, Any]) -> None:
    assert (found["rows"], found["checksums"]) == (4 * ROWS, True)


def test_a_flipped_byte_in_a_commit_is_an_error(found: dict[str, Any]) -> None:
    assert "00000000000000000003.json" in str(found["flipped"])


def test_an_empty_newest_commit_is_an_error_and_says_what_to_do(found: dict[str, Any]) -> None:
    assert "00000000000000000003.json is empty, wanted the actions of a commit" in str(found["emptied"])
    assert "upkeep audit" in str(found["emptied"])


def test_concurrent_writers_all_land_and_leave_nothing(found: dict[str, Any]) -> None:
    assert found["shared"] == ROWS * (1 + WRITERS * COMMITS_EACH)
    assert found["left behind"] == []
