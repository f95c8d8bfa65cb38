"""Metrics: what Prometheus reads is well-formed, whatever names a job and its tables have, and never half a file."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import Ledger, Plan, open_ledger
from migration.metrics import Metric, text_of, write_metrics
from migration.pace import Pace, Wait
from migration.tracking import Amount, Tracker
from spark_jobs.storage.fingerprints import Fingerprint
from tests.migration_files import keep_plan

JOB = 'old "shop"\\history\nof 2019'
PLAN = Plan("p1", JOB, "v1", "/export", "2026-01-01T00:00:00.000000Z")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
_SAMPLE = re.compile(r"([a-zA-Z_:][\w:]*)\{(.*)\} (\S+)")
Samples = dict[tuple[str, ...], float]


def parsed(text: str) -> dict[str, Samples]:
    """Metric to label values to value; AssertionError where a line is none of the format, or comes before its TYPE."""
    found: dict[str, Samples] = {}
    assert text.endswith("\n")
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith("# HELP "):
            name = line.split(" ")[2]
            assert name not in found
            assert next(lines) == f"# TYPE {name} gauge"
            found[name] = {}
            continue
        match = _SAMPLE.fullmatch(line)
        assert match, line
        labels, at = [], 0
        while at < len(match[2]):
            label = _LABEL.match(match[2], at)
            assert label, line
            labels.append(re.sub(r"\\(.)", lambda one: {"n": "\n"}.get(one[1], one[1]), label[2]))
            at = label.end()
        assert tuple(labels) not in found[match[1]]
        found[match[1]][tuple(labels)] = float(match[3])
    return found


def chunk(number: int, state: ChunkState, *, has_counts: bool = True) -> Chunk:
    counts = Counts(10, 2, 1, Fingerprint(7, 1, 1)) if has_counts else None
    name = f"core.orders/f{number}"
    return Chunk("p1", name, "core.orders", "f", 100, 0, "", 10, (), "r", "c", state=state, counts=counts)


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        keep_plan(
            opened,
            PLAN,
            [
                *(chunk(1, ChunkState.VERIFIED), chunk(2, ChunkState.FAILED)),
                *(chunk(3, ChunkState.FAILED, has_counts=False), chunk(4, ChunkState.PLANNED, has_counts=False)),
            ],
        )
        yield opened


def written(ledger: Ledger, folder: Path, tracker: Tracker | None = None) -> dict[str, Samples]:
    write_metrics(ledger, PLAN, folder, tracker.figures() if tracker else None)
    (path,) = folder.glob("*")
    assert path.name == "databank_migration_old__shop__history_of_2019.prom"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    return {name.removeprefix("databank_migration_"): found for name, found in parsed(path.read_text()).items()}


@pytest.fixture
def folder(tmp_path) -> Path:
    path: Path = tmp_path / "measured"
    path.mkdir()
    return path


def test_what_stands_in_the_ledger_is_measured(ledger, folder) -> None:
    ledger.record_step("p1", "ran copy", {"state": "succeeded"})
    ledger.record_step("p1", "ran verify", {"state": "failed"})
    for table, *ends in (("a", "verified", "verifying"), ("b", "verified", "verification failed")):
        for end in ends:
            ledger.record_step("p1", end, {"table": table})
    found = written(ledger, folder)
    states = {labels[2]: value for labels, value in found["chunks"].items()}
    assert states == {"planned": 1, "copying": 0, "copied": 0, "verified": 1, "failed": 2}
    assert found["verification_failures"] == {(JOB, "core.orders"): 1}
    assert found["verification_red"] == {(JOB, "a"): 0, (JOB, "b"): 1}
    places = {labels[2]: value for labels, value in found["records"].items()}
    assert places == {"good": 14, "quarantined": 4, "duplicate": 2}
    assert found["planned_records"] == {(JOB, "core.orders"): 40}
    ((labels, at),) = found["last_success_seconds"].items()
    assert labels == (JOB, "copy")
    assert abs(at - datetime.now(UTC).timestamp()) < 60
    assert (found["copying"][JOB,], found["records_per_second"][JOB,], found["waiting_since_seconds"][JOB,]) == (
        0,
        0,
        0,
    )


def test_a_copy_that_runs_and_waits_is_measured(ledger, folder) -> None:
    moment = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
    times = iter([moment, *[moment + timedelta(seconds=10)] * 9])
    tracker = Tracker({"core.orders": Amount(4, 400, 40)}, Pace(), lambda: next(times))
    tracker.ended(chunk(1, ChunkState.COPIED))
    tracker.waits(Wait(moment + timedelta(hours=1), "outside", is_closed=True))
    tracker.waits(Wait(moment + timedelta(hours=2), "outside", is_closed=True))
    found = written(ledger, folder, tracker)
    assert (found["copying"][JOB,], found["records_per_second"][JOB,], found["bytes_per_second"][JOB,]) == (1, 1, 10)
    assert found["waiting_since_seconds"][JOB,] == moment.timestamp() + 10


def test_the_file_is_replaced_and_nothing_else_is_left(ledger, folder) -> None:
    written(ledger, folder)
    (path,) = folder.glob("*")
    before = path.stat().st_ino
    written(ledger, folder)
    assert path.stat().st_ino != before  # who reads it sees one whole file or the other


def test_without_a_folder_nothing_is_written(ledger, tmp_path) -> None:
    write_metrics(ledger, PLAN, None)
    assert list(tmp_path.rglob("*.prom")) == []


def test_a_metric_without_samples_is_left_out() -> None:
    some = Metric("some", "x", (({"a": "b"}, 1.5),))
    assert (
        text_of([replace(some, name="none", samples=()), some]) == '# HELP some x\n# TYPE some gauge\nsome{a="b"} 1.5\n'
    )
