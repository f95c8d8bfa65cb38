"""Which Java is taken, and what is said when none fits."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.setup import java
from services.setup.java import Java
from spark_jobs.errors import TerminalError


@pytest.mark.parametrize(
    ("said", "major"),
    [
        pytest.param('openjdk version "17.0.15" 2025-04-15\nOpenJDK ...', 17, id="17 with an update"),
        pytest.param('openjdk version "25" 2025-09-16 LTS', 25, id="a first release"),
        pytest.param('java version "1.8.0_422"', 8, id="8 calls itself 1.8"),
        pytest.param('openjdk version "25-ea" 2025-09-16', 25, id="early access"),
        pytest.param("bash: java: command not found", None, id="no Java"),
    ],
)
def test_the_major_version_is_read(said: str, major: int | None) -> None:
    assert java.parse_version(said) == major


def test_spark_takes_the_first_version_it_runs_on() -> None:
    among = [Java(Path("/a"), 25), Java(Path("/b"), 21), Java(Path("/c"), 17)]
    assert java.choose(java.SPARK, among) == Java(Path("/b"), 21)


def test_trino_takes_any_later_version() -> None:
    assert java.choose(java.TRINO, [Java(Path("/a"), 17), Java(Path("/b"), 26)]).major == 26


@pytest.mark.parametrize(
    ("among", "found"),
    [
        pytest.param([Java(Path("/opt/j25"), 25)], "Java 25 in /opt/j25", id="the wrong one"),
        pytest.param([], "no Java at all", id="none"),
    ],
)
def test_a_wrong_java_is_named_with_what_is_wanted(among: list[Java], found: str) -> None:
    with pytest.raises(TerminalError, match="Spark needs Java 17 or 21") as raised:
        java.choose(java.SPARK, among)
    assert found in str(raised.value)
    assert "JAVA_HOME" in str(raised.value)


def test_java_home_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    executable = tmp_path / "bin" / "java"
    executable.parent.mkdir()
    executable.write_text("#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n")
    executable.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.installed()[0] == Java(tmp_path, 21)


def test_a_java_that_does_not_run_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing"))
    assert all(found.home != tmp_path / "nothing" for found in java.installed())
