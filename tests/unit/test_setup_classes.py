"""The archive of Spark's classes: made once for each Java and Spark, done without where it cannot be made."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from services.setup import classes


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / "spark.jar").write_bytes(b"jar")
    monkeypatch.setattr(classes, "_spark_jars", lambda: folder)
    return folder


@pytest.fixture
def java(tmp_path: Path) -> Path:
    (tmp_path / "java").mkdir()
    (tmp_path / "java" / "release").write_text('JAVA_VERSION="21"')
    return tmp_path / "java"


def practising(monkeypatch: pytest.MonkeyPatch, *, writes: bool) -> list[str]:
    """Stand for the practice; what it was told to write."""
    told: list[str] = []

    def practice(_command: list[str], *, env: dict[str, str], **_more: Any) -> subprocess.CompletedProcess[str]:
        (path,) = (word.split("=")[1] for word in env["PYSPARK_SUBMIT_ARGS"].split() if "ArchiveClassesAtExit" in word)
        told.append(path)
        if writes:
            Path(path).write_bytes(b"archive")
        return subprocess.CompletedProcess([], 0 if writes else 1, "", "a line\nno memory\n")

    monkeypatch.setattr(subprocess, "run", practice)
    return told


def test_it_is_made_once_for_each_java_and_spark(
    jars: Path, java: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = practising(monkeypatch, writes=True)
    first = classes.ensure(java, tmp_path, os.environ)
    assert first
    assert first.read_bytes() == b"archive"
    assert classes.ensure(java, tmp_path, os.environ) == first
    assert len(told) == 1
    (jars / "spark.jar").write_bytes(b"other")
    second = classes.ensure(java, tmp_path, os.environ)
    (java / "release").write_text('JAVA_VERSION="17"')
    assert len({first, second, classes.ensure(java, tmp_path, os.environ)}) == len(told) == 3


@pytest.mark.usefixtures("jars")
def test_without_it_set_up_goes_on_and_says_so(
    java: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    practising(monkeypatch, writes=False)
    assert classes.ensure(java, tmp_path, os.environ) is None
    printed = capsys.readouterr()
    assert "did not work (no memory)" in printed.out + printed.err
    assert not list(tmp_path.rglob("*.jsa"))


@pytest.mark.usefixtures("jars")
def test_a_folder_that_java_cannot_be_told_is_done_without(java: Path, tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    assert classes.ensure(java, tmp_path / "a b", os.environ) is None
