"""What a job says when Spark fails, and which failures a writer that lost a race tries again; no JVM is started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import delta.exceptions
import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException

from services.setup import java
from spark_jobs import __main__ as jobs
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import SparkSettings
from spark_jobs.storage import conflicts, session, streams

ANY_SETTINGS: Any = Mock(spec=SparkSettings)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    taken: list[float] = []
    monkeypatch.setattr("time.sleep", taken.append)
    return taken


@pytest.mark.parametrize("name", delta.exceptions.__all__)
def test_every_conflict_of_delta_begins_again(name: str, naps: list[float]) -> None:
    lost = getattr(delta.exceptions, name)("another commit came between")
    action = Mock(side_effect=[lost, lost, "committed"])
    assert conflicts.until_committed(action, "a merge") == "committed"
    assert naps == [0, 1]


def test_a_race_lost_too_often_is_left_to_a_calmer_hour(naps: list[float]) -> None:
    action = Mock(side_effect=delta.exceptions.ConcurrentAppendException("another commit came between"))
    with pytest.raises(RetryableError, match=f"a merge: other writers came between {conflicts.ATTEMPTS} times"):
        conflicts.until_committed(action, "a merge")
    assert action.call_count == len(naps) == conflicts.ATTEMPTS


def test_another_failure_is_not_tried_again() -> None:
    action = Mock(side_effect=PySparkException("no such column"))
    with pytest.raises(PySparkException, match="no such column"):
        conflicts.until_committed(action, "a merge")
    action.assert_called_once()


def test_what_spark_could_not_do_is_said_in_one_line_and_the_session_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    spark = Mock()
    monkeypatch.setattr(session, "start_session", Mock(return_value=spark))
    with (
        pytest.raises(RetryableError, match=r"^Spark failed: the disk is full; nothing is half-written"),
        session.session(ANY_SETTINGS, "a job"),
    ):
        raise PySparkException("the disk is full\n\tat java.io")
    spark.stop.assert_called_once()


@pytest.mark.parametrize(
    ("version", "found"), [("1.8.0_422", 8), ("11.0.25", 11), ("25", 25)], ids=["Java 8", "Java 11", "Java 25"]
)
def test_a_wrong_java_is_told_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, found: int
) -> None:
    (tmp_path / "release").write_text(f'IMPLEMENTOR="Debian"\nJAVA_VERSION="{version}"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setattr(session, "_start_java_with_memory", Mock(side_effect=AssertionError("Java was started")))
    with pytest.raises(TerminalError, match=f"JAVA_HOME={tmp_path} is Java {found}, and Spark needs Java 17 or 21"):
        session.start_session(SparkSettings("local[2]", 1024, str(tmp_path), ()), "a job")


@pytest.mark.parametrize("release", ['JAVA_VERSION="17.0.13"\n', 'A="x"\nJAVA_VERSION="21"\n', "", None])
def test_a_java_that_may_fit_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str | None) -> None:
    if release is not None:
        (tmp_path / "release").write_text(release)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    session._require_java()
    monkeypatch.delenv("JAVA_HOME")
    session._require_java()


def test_set_up_and_spark_s_jobs_take_the_same_java() -> None:
    assert java.SPARK.preferred == session.JAVA


def test_a_session_that_cannot_start_is_a_failure_that_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    safe_mode = Py4JJavaError(
        "", Mock(_target_id="o1", toString=Mock(return_value="Name node is in safe mode.\n\tat x"))
    )
    monkeypatch.setattr(session, "start_session", Mock(side_effect=safe_mode))
    with (
        pytest.raises(RetryableError, match=r"^Spark failed: Name node is in safe mode\.; nothing"),
        session.session(ANY_SETTINGS, "a job"),
    ):
        pytest.fail("there is no session")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("org.apache.hadoop.security.AccessControlException: Permission denied: user=databank", TerminalError),
        ("java.net.ConnectException: Call From h1 to h1:8020 failed", RetryableError),
        ("org.apache.hadoop.ipc.RemoteException: Name node is in safe mode.\n\tat x", RetryableError),
    ],
)
def test_a_checkpoint_that_cannot_be_read(said: str, kind: type[Exception]) -> None:
    lake = Mock()
    files = lake.spark._jvm.org.apache.hadoop.fs.Path.return_value.getFileSystem.return_value
    files.exists.side_effect = Py4JJavaError("", Mock(_target_id="o1", toString=Mock(return_value=said)))
    with pytest.raises(kind, match="checkpoint hdfs://h1/c cannot be"):
        streams.stream_id(lake, "hdfs://h1/c")


def test_a_failure_that_nobody_expected_is_not_taken_for_one_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spark_jobs.__main__._run", Mock(side_effect=ZeroDivisionError))
    assert jobs.main(["delta-audit"]) == os.EX_SOFTWARE
