"""A run is recorded as it ended, and why it failed is heard also where it cannot be recorded."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

import pytest
from py4j.protocol import Py4JNetworkError

from spark_jobs.errors import TerminalError
from spark_jobs.storage import runs


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The rows that `ops.runs` would get."""
    found: list[dict[str, Any]] = []
    monkeypatch.setattr(runs, "record", lambda _lake, row, *, once: found.append({**row, "once": once}))
    return found


def test_a_run_that_ends_well_is_recorded_with_its_counts(rows) -> None:
    with runs.recorded(Mock(), "tags", "grocery") as run:
        run.rows_in, run.detail["a"] = 3, 1
    (row,) = rows
    assert (row["state"], row["rows_in"], row["detail"]) == ("succeeded", 3, '{"a": 1}')
    assert row["started_at"] <= row["ended_at"]


def test_a_run_that_fails_is_recorded_and_its_error_goes_on(rows) -> None:
    with pytest.raises(TerminalError, match="no such workspace"), runs.recorded(Mock(), "tags", "grocery"):
        raise TerminalError("no such workspace")
    assert [row["state"] for row in rows] == ["failed"]


def test_where_spark_is_dead_the_reason_is_still_the_jobs_own(monkeypatch, caplog) -> None:
    monkeypatch.setattr(runs, "record", Mock(side_effect=Py4JNetworkError("the JVM is gone")))
    with pytest.raises(TerminalError, match="no such workspace"), runs.recorded(Mock(), "tags", "grocery"):
        raise TerminalError("no such workspace")
    assert "ops.runs could not be told" in caplog.text


def test_a_success_that_cannot_be_recorded_is_none(monkeypatch) -> None:
    monkeypatch.setattr(runs, "record", Mock(side_effect=Py4JNetworkError("the JVM is gone")))
    with pytest.raises(Py4JNetworkError), runs.recorded(Mock(), "tags", "grocery"):
        pass
