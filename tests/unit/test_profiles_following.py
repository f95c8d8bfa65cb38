"""The loader that follows the lake: what it loads, what it says once, and that nothing it cannot do ends it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from services.profiles import __main__ as profiles
from services.profiles import following
from services.profiles.following import follow
from spark_jobs.errors import RetryableError, TerminalError
from tests.profile_lake import WORKSPACE, LakeWriter
from tests.profile_settings import write_settings


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What systemd is told, and no time to wait."""
    said: list[str] = []
    monkeypatch.setattr(following, "tell", said.append)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return said


def test_each_workspace_is_loaded_in_each_round_and_a_failure_is_said_once(
    told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []

    def load(workspace: str) -> Mapping[str, Any]:
        asked.append(workspace)
        if workspace == "toys":
            raise TerminalError("no tags of 'toys' are published")
        if len(asked) == 5:
            raise RetryableError("the lake\ncannot be read")
        return {"publication": 7 if len(asked) < 7 else 8}

    with caplog.at_level(logging.INFO):
        follow(["grocery", "toys"], load, every_s=60, rounds=range(4))
    assert asked == ["grocery", "toys"] * 4
    assert [record.getMessage() for record in caplog.records] == [
        "grocery: publication 7 is served",
        "toys: no tags of 'toys' are published",
        "grocery: the lake\ncannot be read",
        "grocery: publication 8 is served",
    ]
    assert told[0] == "grocery: publication 7 is served; toys: no tags of 'toys' are published"
    assert told[2] == "grocery: the lake cannot be read; toys: no tags of 'toys' are published"
    assert told[3].startswith("grocery: publication 8")


def test_what_nobody_expected_ends_it_so_that_systemd_starts_it_anew(told: list[str]) -> None:
    def load(_: str) -> Mapping[str, Any]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        follow(["grocery"], load, every_s=60, rounds=range(2))
    assert told == []


def test_the_verb_serves_what_is_published_while_it_runs(
    told: list[str], tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = LakeWriter(tmp_path / "lake", key_file)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) > 2:
            raise KeyboardInterrupt
        lake.next()
        lake.person(1)
        lake.publish({1: {"dormant": str(len(naps))}})

    monkeypatch.setattr("time.sleep", nap)
    settings = write_settings(tmp_path, key_file)
    left = tmp_path / "scratch" / "profiles-follow" / "profiles-load-killed"
    left.mkdir(parents=True)
    arguments = ["follow", "--every-s", "5", "--memory-mb", "256", "--threads", "1", "--niceness", "0"]
    assert profiles.main([*arguments, "--settings", str(settings)]) == 130
    assert naps == [5.0, 5.0, 5.0]
    assert not left.exists()
    assert told[0].startswith(f"{WORKSPACE}: ")
    assert "is no Delta table" in told[0]
    assert told[1:] == [f"{WORKSPACE}: publication {number} is served" for number in (1, 2)]
