"""`./databank test`: the tiers in order, each timed; the last line of all is the sum."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

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
PROCESSES: Mapping[str, int] = {"unit": 2, "spark": 2}
# Tiers, separated by spaces, in which a skip is a failure: none may be missing in silence where all proof is asked for.
REQUIRED_VARIABLE = "DATABANK_REQUIRED_TIERS"


def run_tiers(wanted: Sequence[str]) -> int:
    """Run the wanted tiers, or all; 1 when anything failed or nothing ran."""
    tiers: dict[str, Callable[[], Tally]] = {"gate": run_gate}
    tiers |= {name: partial(run_folders, folders, PROCESSES.get(name, 1)) for name, folders in FOLDERS.items()}
    results: dict[str, tuple[Tally, float]] = {}
    for name, run in tiers.items():
        if wanted and name not in wanted:
            continue
        _say(f"== {name}")
        began = time.monotonic()
        tally = run()
        results[name] = tally, time.monotonic() - began
    _say("== times")
    for name, (tally, seconds) in results.items():
        _say(f"{name:<11} {seconds:7.1f} s  {tally}")
    required = os.environ.get(REQUIRED_VARIABLE, "").split()
    return summarise(held_to(tally) if name in required else tally for name, (tally, _) in results.items())


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


def run_folders(folders: Sequence[str], at_once: int = 1) -> Tally:
    """The tests of these folders of `tests/`, without those of campaign and life cycle; whole files, `at_once`."""
    present = [f"tests/{folder}" for folder in folders if any((paths.REPO / "tests" / folder).rglob("test_*.py"))]
    if not present:
        _say("no tests here yet")
        return Tally()
    dealt = [f"--numprocesses={at_once}", "--dist=loadfile"] if at_once > 1 else []
    return processes.pytest(["-m", "not campaign and not lifecycle", *dealt, *present], environment(resolved()))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
