"""Counts of what passed, and how pytest's report is read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Tally:
    """Tests (or checks of the gate) by how they ended; an expected failure counts as skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def ran(self) -> int:
        """Tests that really ran."""
        return self.passed + self.failed

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum."""
    counted = list(tallies)
    return Tally(
        sum(one.passed for one in counted), sum(one.failed for one in counted), sum(one.skipped for one in counted)
    )


def from_junit(report: Path, *, exit_status: int) -> Tally:
    """What pytest counted; a run that broke off, or failed without a failed test, counts as one failure."""
    try:
        suites = ET.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it a moment ago
        counted = total(_of_suite(suite) for suite in suites)
    except (OSError, ET.ParseError):
        counted = Tally()
    is_explained = counted.failed > 0 or exit_status in {0, NO_TESTS}
    return counted if is_explained else Tally(counted.passed, counted.failed + 1, counted.skipped)


NO_TESTS = 5  # pytest's exit status where nothing was collected


def _of_suite(suite: ET.Element) -> Tally:
    tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return Tally(max(tests - failed - skipped, 0), failed, skipped)
