"""What a job says when Spark fails, and which failures a writer that lost a race tries again; no JVM is started."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import delta.exceptions
import pytest
from pyspark.errors import PySparkException

from spark_jobs.errors import RetryableError
from spark_jobs.settings import SparkSettings
from spark_jobs.storage import conflicts, session

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
