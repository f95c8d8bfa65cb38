"""`./databank test`: the tiers in order, each timed; the last line of all is the sum."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from services.setup import paths
from services.setup.resolved import environment, resolved
from services.testing import gate, processes
from services.testing.tally import Tally, total

# The fast ones first. A folder that does not exist yet is no tier yet.
FOLDERS: Mapping[str, Sequence[str]] = {
    "unit": ("unit", "agreement", "ansible"),
    "spark": ("spark",),
    "properties": ("properties",),
    "stack": ("stack", "faults"),
    "airflow": ("airflow",),
    "acceptance": ("acceptance",),
    "appliance": ("appliance",),
}
# Tiers whose tests wait for one driver or one interpreter: their files are dealt out to this many processes. The others
# share brokers, hosts or the machine's memory.
PROCESSES: Mapping[str, int] = {"unit": 2, "spark": 2, "properties": 2}
DAILY = "not campaign and not lifecycle"
# Long tests of what shorter ones show in the main: run by `./databank test`, with `--within` while there is time.
THOROUGH = "thorough"
UNTIL_VARIABLE = "DATABANK_TEST_UNTIL"  # read by tests/conftest.py
# Tiers, separated by spaces, in which a skip is a failure: none may be missing in silence where all proof is asked for.
REQUIRED_VARIABLE = "DATABANK_REQUIRED_TIERS"


def run_tiers(wanted: Sequence[str], *, within_min: int | None = None) -> int:
    """Run the wanted tiers, or all; 1 when anything failed or nothing ran.

    `within_min`: tests marked `thorough` are run when all others have been, and only while so many minutes have not
    passed since now. Those that are not reached count as skipped.
    """
    until = None if within_min is None else time.time() + within_min * 60
    chosen = [name for name in ("gate", *FOLDERS) if not wanted or name in wanted]
    results: dict[str, tuple[Tally, float]] = {}
    for name in chosen:
        results[name] = _timed(name, run_gate if name == "gate" else partial(run_folders, name, _first(until)))
    for name in chosen:
        if until is not None and name != "gate":
            results[f"{name}, more"] = _timed(f"{name}, more", partial(run_folders, name, THOROUGH, until=until))
    _say("== times")
    for name, (tally, seconds) in results.items():
        _say(f"{name:<17} {seconds:7.1f} s  {tally}")
    if left_out := sum(results[name][0].skipped for name in results.keys() - set(chosen)):
        _say(f"{left_out} thorough tests were left out, as said above; within {within_min} minutes they could begin")
    required = os.environ.get(REQUIRED_VARIABLE, "").split()
    return summarise(held_to(tally) if name in required else tally for name, (tally, _) in results.items())


def _first(until: float | None) -> str:
    return DAILY if until is None else f"{DAILY} and not {THOROUGH}"


def _timed(name: str, run: Callable[[], Tally]) -> tuple[Tally, float]:
    _say(f"== {name}")
    began = time.monotonic()
    return run(), time.monotonic() - began


def held_to(tally: Tally) -> Tally:
    """The tally of a required tier: what was skipped failed, and so did a tier in which nothing ran."""
    missing = tally.skipped or int(tally.ran == 0)
    if missing:
        _say(f"{missing} skipped in a tier that {REQUIRED_VARIABLE} requires: they count as failed")
    return Tally(tally.passed, tally.failed + missing, 0)


def summarise(tallies: Iterable[Tally]) -> int:
    """Print the sum as the last line; the exit status it means."""
    summed = total(tallies)
    if summed.ran == 0:
        _say("no test was run")
    _say(str(summed))
    return 0 if summed.ran and not summed.failed else 1


def run_gate() -> Tally:
    """Every check of the gate, all of them even when one fails."""
    outcomes = []
    for name, command in gate.checks():
        began = time.monotonic()
        status = processes.run(command, environment(resolved()))
        _say(f"{name}: {'passed' if status == 0 else 'FAILED'} ({time.monotonic() - began:.1f} s)")
        outcomes.append(status == 0)
    return Tally(passed=sum(outcomes), failed=len(outcomes) - sum(outcomes))


def run_folders(tier: str, marked: str = DAILY, *, until: float | None = None) -> Tally:
    """The tests of a tier's folders of `tests/` that are `marked` so; `until` is a time of day in epoch seconds."""
    files = [file for folder in FOLDERS[tier] for file in sorted((paths.REPO / "tests" / folder).rglob("test_*.py"))]
    if until is not None:
        files = [file for file in files if f"mark.{THOROUGH}" in file.read_text(encoding="utf-8")]
    if not files:
        _say("no tests here")
        return Tally()
    dealt = [f"--numprocesses={PROCESSES[tier]}", "--dist=loadfile"] if tier in PROCESSES else []
    given = environment(resolved())
    if until is not None:
        # Each commit begins elsewhere: what the time of one was too short for is reached by another.
        files = rotated(files, by=commit_number())
        dealt += ["--no-loadscope-reorder"] if dealt else []
        given = {**given, UNTIL_VARIABLE: str(until)}
    return processes.pytest(["-m", marked, *dealt, *(str(file.relative_to(paths.REPO)) for file in files)], given)


def rotated(files: Sequence[Path], *, by: int) -> list[Path]:
    """The same files, beginning with another one."""
    start = by % len(files)
    return [*files[start:], *files[:start]]


def commit_number() -> int:
    """A number that each commit has its own of; 0 outside of a checkout."""
    answer = subprocess.run(["git", "rev-parse", "HEAD"], cwd=paths.REPO, capture_output=True, text=True)
    return int(answer.stdout[:8] or "0", 16)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
