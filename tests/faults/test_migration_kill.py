"""kill -9 of `python -m migration copy` at random moments: started again, it ends as one that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from migration.ledger import now
from tests.migration_files import OldSystem, line, old_system
from tests.migration_place import Place, in_flight

CHUNKS = 6
LINES = 400
START_S = 120.0
LARGE_CHUNKS, LARGE_LINES, LARGE_KILLS, MOST_TRIES = 10, 500_000, 20, 60
EXECUTOR = "CoarseGrainedExecutorBackend"


def filled(folder: Path, chunks: int, lines: int) -> OldSystem:
    """Files in which each repeats a line of its own and one of its neighbour, and has two that are refused."""
    system = old_system(folder)
    for chunk in range(chunks):
        own = [line(chunk * lines + n, product=n) for n in range(lines)]
        repeated = [own[3], line((chunk + 1) % chunks * lines, product=0)]
        system.put(str(chunk), [*own, *repeated, line(9, quantity="x"), "broken"])
    return system


@pytest.fixture
def old(tmp_path) -> OldSystem:
    return filled(tmp_path / "old", CHUNKS, LINES)


def killed(place: Place, *, commits: int, delay_s: float) -> None:
    """Start `copy` and kill it, `delay_s` after this many chunks more stand in the target."""
    wanted = place.commits() + commits
    process = place.start("copy")
    deadline = time.monotonic() + START_S
    while place.commits() < wanted:
        assert process.poll() is None, "the copy ended before it could be killed: that fault hits nothing"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(delay_s)
    assert process.poll() is None, "the copy ended before it could be killed: that fault hits nothing"
    kill_all(process)
    process.wait()


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """Python, its Java, and what they started."""
    os.killpg(process.pid, signal.SIGKILL)


def kill_command(process: subprocess.Popen[bytes]) -> None:
    """Python alone; its Java notices by itself."""
    process.kill()


def kill_executor(process: subprocess.Popen[bytes]) -> None:
    """The Java that reads and writes; the one that drives it goes on."""
    found = subprocess.run(
        ["pgrep", "-g", str(process.pid), "-f", EXECUTOR], capture_output=True, text=True, check=False
    ).stdout.split()
    assert found, "no executor runs: that fault hits nothing"
    for pid in found:
        os.kill(int(pid), signal.SIGKILL)


def both_end_alike(spark: SparkSession, quiet: Place, disturbed: Place) -> None:
    for place in (quiet, disturbed):
        place.run("copy", "settle", "verify", most_s=900)
    assert disturbed.ledger() == quiet.ledger()
    assert disturbed.prints(spark) == quiet.prints(spark)
    assert {row[1] for row in disturbed.ledger()} == {"verified"}
    assert disturbed.commits_by_chunk() == dict.fromkeys([row[0] for row in disturbed.ledger()], 1)


def kills_end_as_if_undisturbed(spark: SparkSession, old: OldSystem, key_file: Path, *, kills: int, seed: int) -> None:
    moments = random.Random(seed)
    quiet, disturbed = (Place(old.folder.parent / name, key_file, old) for name in ("quiet", "disturbed"))
    for place in (quiet, disturbed):
        place.run("plan")
    for _ in range(kills):
        # A kill right behind a commit finds the ledger behind it; one in a run that has committed nothing is cheap.
        is_last = disturbed.commits() >= CHUNKS - 2
        killed(disturbed, commits=0 if is_last else 1, delay_s=moments.uniform(0, 4.0 if is_last else 0.2))
    both_end_alike(spark, quiet, disturbed)


@pytest.mark.thorough
def test_kills_of_a_copy_lose_and_double_nothing(spark, old, key_file) -> None:
    kills_end_as_if_undisturbed(spark, old, key_file, kills=2, seed=7)


@pytest.mark.campaign
@pytest.mark.parametrize("seed", range(5))
def test_twenty_five_kills_of_a_copy_lose_and_double_nothing(spark, old, key_file, seed) -> None:
    kills_end_as_if_undisturbed(spark, old, key_file, kills=5, seed=seed)


@pytest.mark.campaign
def test_twenty_kills_of_a_copy_of_five_million_rows(spark, key_file, tmp_path) -> None:
    """Of all processes, of the command alone, of the executor alone: the driver then gives its tasks to a new one."""
    old = filled(tmp_path / "old", LARGE_CHUNKS, LARGE_LINES)
    quiet = Place(tmp_path / "quiet", key_file, old)
    disturbed = Place(tmp_path / "disturbed", key_file, old, master="local-cluster[1,2,1536]")
    for place in (quiet, disturbed):
        place.run("plan")
    kinds: list[Callable[[subprocess.Popen[bytes]], None]] = [kill_all, kill_command, kill_executor]
    moments, hit, tries = random.Random(11), 0, 0
    while hit < LARGE_KILLS:
        tries += 1
        assert tries <= MOST_TRIES, f"only {hit} of {tries} kills met a chunk: choose larger ones"
        since, process = now(), disturbed.start("copy", "--parallel", "1")
        time.sleep(moments.uniform(12, 40))
        assert process.poll() is None, f"the copy ended after {hit} kills: choose more rows"
        kind = kinds[hit % len(kinds)]
        before = disturbed.copying()
        kind(process)
        hit += bool(in_flight(before, disturbed.copying(), since=since))  # a fault that hit nothing does not count
        if kind is kill_executor:
            time.sleep(moments.uniform(0, 20))  # it goes on, with another executor
            kill_all(process)
        process.wait()
        subprocess.run(["pkill", "-9", "-g", str(process.pid)], check=False)  # Java that outlived the command
    both_end_alike(spark, quiet, disturbed)
