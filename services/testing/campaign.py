"""`./databank test --campaign` and `--lifecycle`: long runs, one at a time, remembered once they passed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from services.setup import paths
from services.setup.resolved import environment, resolved
from services.testing import processes
from services.testing.runner import summarise
from services.testing.tally import NO_TESTS, Tally
from spark_jobs.errors import TerminalError

PROOF = paths.REPO / "docs" / "proof.md"
_HEADING = "# Proof\n\nLong runs (`./databank test --campaign`, `--lifecycle`), one line each time.\n\n"
_TABLE = "| date (UTC) | commit | run | result | seconds |\n|---|---|---|---|---|\n"


def run(marker: str, *, fresh: bool) -> int:
    """Run what has not passed yet of the tests marked `campaign` or `lifecycle`.

    Each result is kept at once, so an interrupted run goes on where it was. A test of a campaign stands for itself;
    those of the life cycle share a cluster in each file, which is run as a whole.
    """
    record = Record(paths.state_dir() / marker / "passed.json")
    if fresh:
        record.clear()
    items = collect(marker)
    if marker == "lifecycle":
        items = list(dict.fromkeys(item.partition("::")[0] for item in items))
    waiting = [item for item in items if not record.has(item)]
    sys.stdout.write(f"{marker}: {len(items)} runs, {len(items) - len(waiting)} of them passed before\n")
    tallies = [run_item(marker, item, record) for item in waiting]
    if items and not waiting:
        sys.stdout.write("everything passed before; --fresh repeats it\n")
        sys.stdout.write(f"{Tally(skipped=len(items))}\n")
        return 0
    return summarise([*tallies, Tally(skipped=len(items) - len(waiting))])


def collect(marker: str) -> list[str]:
    """The node ids of all tests with this marker."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "--no-header", "-m", marker, "tests"]
    answer = subprocess.run(
        command,
        cwd=paths.REPO,
        env=environment(resolved()),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if answer.returncode not in {0, NO_TESTS}:
        raise TerminalError(f"pytest could not collect the {marker}:\n{answer.stdout[-2000:]}")
    return [line for line in answer.stdout.splitlines() if "::" in line]


class Record:
    """Which runs have passed, with date, commit and duration; a file that is written whole each time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, item: str) -> bool:
        """True once the run passed."""
        return item in self._read()

    def add(self, item: str, *, seconds: float) -> None:
        """Remember a run that passed."""
        passed = self._read()
        passed[item] = {"date": _now(), "commit": commit(), "seconds": round(seconds, 1)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(passed, indent=2) + "\n", encoding="utf-8")
        partial.rename(self._path)

    def clear(self) -> None:
        """Forget everything."""
        self._path.unlink(missing_ok=True)

    def _read(self) -> dict[str, dict[str, object]]:
        try:
            passed: dict[str, dict[str, object]] = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise TerminalError(f"{self._path} is broken ({error}); remove it, or give --fresh") from error
        return passed


def run_item(marker: str, item: str, record: Record) -> Tally:
    """One run, remembered when it passed, with its line in docs/proof.md either way."""
    sys.stdout.write(f"== {item}\n")
    sys.stdout.flush()
    began = time.monotonic()
    tally = processes.pytest(["-m", marker, item], environment(resolved()), most_s=None)
    seconds = time.monotonic() - began
    passed = tally.ran > 0 and not tally.failed
    if passed:
        record.add(item, seconds=seconds)
    append_proof(item, "passed" if passed else "skipped" if not tally.ran else "failed", seconds)
    return tally


def append_proof(item: str, result: str, seconds: float) -> None:
    """Add the dated line of one run."""
    PROOF.parent.mkdir(exist_ok=True)
    if not PROOF.exists():
        PROOF.write_text(_HEADING + _TABLE, encoding="utf-8")
    elif _TABLE not in PROOF.read_text(encoding="utf-8"):
        with PROOF.open("a", encoding="utf-8") as file:
            file.write(f"\n## Runs\n\n{_TABLE}")
    with PROOF.open("a", encoding="utf-8") as file:
        file.write(f"| {_now()} | {commit()} | {item} | {result} | {seconds:.0f} |\n")


def commit() -> str:
    """The checkout's commit, with a mark when files differ from it."""
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"], cwd=paths.REPO, capture_output=True, text=True
    )
    return answer.stdout.strip() or "unknown"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
