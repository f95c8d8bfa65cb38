"""The tests' own bookkeeping: counts, the last line, what a campaign remembers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from services.setup import paths
from services.testing import campaign, processes, runner
from services.testing.tally import NO_TESTS, Tally, from_junit, total

REPORT = (
    '<testsuites><testsuite name="pytest" errors="{errors}" failures="{failures}" skipped="{skipped}" tests="{tests}"/>'
    "</testsuites>"
)


@pytest.mark.parametrize(
    ("counts", "status", "tally"),
    [
        pytest.param((0, 0, 2, 10), 0, Tally(8, 0, 2), id="passed and skipped"),
        pytest.param((1, 2, 0, 10), 1, Tally(7, 3, 0), id="errors of fixtures are failures"),
        pytest.param((0, 0, 0, 0), NO_TESTS, Tally(), id="nothing was collected"),
        pytest.param((0, 0, 0, 4), 3, Tally(4, 1, 0), id="a run that broke off counts as a failure"),
    ],
)
def test_counts_are_read_from_the_report(
    tmp_path: Path, counts: tuple[int, int, int, int], status: int, tally: Tally
) -> None:
    report = tmp_path / "report.xml"
    errors, failures, skipped, tests = counts
    report.write_text(REPORT.format(errors=errors, failures=failures, skipped=skipped, tests=tests))
    assert from_junit(report, exit_status=status) == tally


def test_a_run_without_report_is_a_failure(tmp_path: Path) -> None:
    assert from_junit(tmp_path / "none.xml", exit_status=-9) == Tally(failed=1)


def test_tallies_add_up() -> None:
    assert total([Tally(1, 2, 3), Tally(10, 20, 30)]) == Tally(11, 22, 33)


@pytest.mark.parametrize(
    ("tallies", "status"),
    [
        pytest.param([Tally(5, 0, 1), Tally(2, 0, 0)], 0, id="all passed"),
        pytest.param([Tally(5, 1, 0)], 1, id="one failed"),
        pytest.param([Tally(0, 0, 9)], 1, id="nothing ran"),
    ],
)
def test_the_last_line_is_the_sum(capsys: pytest.CaptureFixture[str], tallies: list[Tally], status: int) -> None:
    assert runner.summarise(tallies) == status
    assert capsys.readouterr().out.splitlines()[-1] == str(total(tallies))


def test_in_a_required_tier_a_skip_is_a_failure() -> None:
    assert runner.held_to(Tally(5, 0, 0)) == Tally(5, 0, 0)
    assert runner.held_to(Tally(5, 1, 2)) == Tally(5, 3, 0)
    assert runner.held_to(Tally(0, 0, 9)) == Tally(0, 9, 0)
    assert runner.held_to(Tally()) == Tally(0, 1, 0)


def test_thorough_tests_come_last_and_have_their_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, str, bool]] = []

    def pytest_run(arguments: Sequence[str], given: Mapping[str, str]) -> Tally:
        is_thorough = arguments[1] == runner.THOROUGH
        files = [one for one in arguments if one.endswith(".py")]
        asked.append((files[0].split("/")[1], arguments[1], runner.UNTIL_VARIABLE in given))
        return Tally(1, 0, 2) if is_thorough else Tally(5)

    monkeypatch.setattr(processes, "pytest", pytest_run)
    monkeypatch.setattr(runner, "resolved", lambda: None)
    monkeypatch.setattr(runner, "environment", lambda _: {})
    assert runner.run_tiers(["spark", "stack"], within_min=10) == 0
    core = f"{runner.DAILY} and not {runner.THOROUGH}"
    assert [one[1:] for one in asked] == [(core, False)] * 2 + [(runner.THOROUGH, True)] * 2
    said = capsys.readouterr().out
    assert "4 thorough tests were left out" in said
    assert said.splitlines()[-1] == "12 passed, 0 failed, 4 skipped"
    asked.clear()
    assert runner.run_tiers(["spark"]) == 0
    assert asked == [("spark", runner.DAILY, False)]


def test_each_commit_begins_with_another_file() -> None:
    files = [Path("a"), Path("b"), Path("c")]
    assert runner.rotated(files, by=3) == files
    assert runner.rotated(files, by=4) == [Path("b"), Path("c"), Path("a")]


@pytest.mark.parametrize(("seconds", "counts"), [(-1, "1 passed, 1 skipped"), (600, "2 passed")])
def test_what_is_thorough_is_not_begun_when_the_time_is_over(tmp_path: Path, seconds: int, counts: str) -> None:
    source = "import pytest\n@pytest.mark.thorough\ndef test_long(): pass\ndef test_short(): pass\n"
    (tmp_path / "test_two.py").write_text(source)
    (tmp_path / "conftest.py").write_text("from tests.conftest import pytest_runtest_setup\n")
    given = os.environ | {runner.UNTIL_VARIABLE: str(time.time() + seconds), "PYTHONPATH": str(paths.REPO)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(tmp_path)]
    answer = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True)
    assert counts in answer.stdout, answer.stdout


def test_a_campaign_remembers_what_passed(tmp_path: Path) -> None:
    path = tmp_path / "passed.json"
    campaign.Record(path).add("tests/faults/test_x.py::test_kill[1]", seconds=12.0)
    again = campaign.Record(path)
    assert again.has("tests/faults/test_x.py::test_kill[1]")
    assert not again.has("tests/faults/test_x.py::test_kill[2]")
    again.clear()
    assert not again.has("tests/faults/test_x.py::test_kill[1]")


def test_results_are_kept_with_their_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "PROOF", tmp_path / "docs" / "proof.md")
    campaign.append_proof("test_a", "passed", 12.3)
    campaign.append_proof("test_b", "failed", 4)
    lines = (tmp_path / "docs" / "proof.md").read_text().splitlines()
    assert lines[-2].endswith("| test_a | passed | 12 |")
    assert lines[-1].endswith("| test_b | failed | 4 |")
    assert sum(line.startswith("| date") for line in lines) == 1
