"""kill -9 of `python -m spark_jobs identity` between its commits and at random moments: readers see whole snapshots."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from services.setup.resolved import environment, resolved
from spark_jobs.contracts.identity import IDENTITY_MAP, PERSON_EVENTS, PERSONS
from spark_jobs.contracts.schema import Table
from spark_jobs.identity.publication import PUBLISHED
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import published_snapshot
from tests.migration_files import OldSystem
from tests.migration_place import Place
from tests.spark.identity_rows import event, put, resolve, seen_by_readers

RUN_S = 300.0
PEOPLE = 40


def day(number: int) -> list[tuple[Any, ...]]:
    """New persons, and phones by which persons of the days before turn out to be one."""
    at = number * 24 * 60
    # Each day's logins are of an app of their own: a person may have one of each.
    login = f"login@app{number}"
    new = [event(f"n{number}/{n}", at + n, f"{login}:{number}/{n}", f"phone:{number}/{n}") for n in range(PEOPLE)]
    met = [event(f"m{number}/{n}", at + n, f"phone:{number}/{n}", f"unionid:{n}") for n in range(0, PEOPLE, 3)]
    return [*new, *met]


def start(place: Place) -> subprocess.Popen[bytes]:
    """Start a run as an operator would, in a process group of its own."""
    command = [sys.executable, "-m", "spark_jobs", "identity", "--settings", str(place.settings)]
    with (place.settings.parent / "log").open("ab") as log:
        return subprocess.Popen(command, env=environment(resolved()), stdout=log, stderr=log, start_new_session=True)


def changes(place: Place, table: Table) -> list[int]:
    """The moments, microseconds, since when the rows of each commit of the table are known."""
    log = place.folder / "lake" / table.schema_name / table.table_name / "_delta_log"
    found = []
    for path in sorted(log.glob("*.json")):
        said = [json.loads(text).get("commitInfo", {}) for text in path.read_text().splitlines() if text.strip()]
        facts = [json.loads(one["userMetadata"]) for one in said if "userMetadata" in one]
        found += [int(fact["at_us"]) for fact in facts if "at_us" in fact]
    return found


def kill(process: subprocess.Popen[bytes]) -> None:
    """Python and its Java together."""
    assert process.poll() is None, "the run ended before it was killed: that fault hits nothing"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def kill_after_commit(place: Place, table: Table, *, later_than: int) -> None:
    """Kill a run as soon as its rows stand in the table."""
    process, until = start(place), time.monotonic() + RUN_S
    while max(changes(place, table), default=0) <= later_than:
        assert process.poll() is None, place.said[-3000:]
        assert time.monotonic() < until
        time.sleep(0.005)
    kill(process)


@pytest.fixture
def place(tmp_path: Path, key_file: Path) -> Place:
    return Place(tmp_path / "place", key_file, OldSystem(tmp_path / "old"))


@pytest.fixture
def days(spark: SparkSession, place: Place, lake: Lake) -> Iterator[tuple[Lake, Lake]]:
    """The lake of which runs are killed, and one that nobody disturbs; a first day stands in both."""
    killed = Lake(spark, f"{place.folder}/lake")
    for one in (killed, lake):
        put(one, day(0), [])
        resolve(one)
        put(one, day(1))
    yield killed, lake
    spark.catalog.clearCache()


@pytest.mark.thorough
@pytest.mark.parametrize(
    "tables",
    [
        pytest.param((PERSONS, IDENTITY_MAP), id="two of the commits"),
        pytest.param(PUBLISHED, id="each commit", marks=pytest.mark.campaign),
    ],
)
def test_a_run_killed_between_two_commits_shows_nothing_and_the_next_one_all(
    place: Place, days: tuple[Lake, Lake], tables: tuple[Table, ...]
) -> None:
    killed, undisturbed = days
    before, at_us = seen_by_readers(killed), published_snapshot(killed).at_us
    for table in tables:
        kill_after_commit(place, table, later_than=max(changes(place, table), default=0))
        assert published_snapshot(killed).at_us == at_us, "it came to its end before it was killed"
        assert seen_by_readers(killed) == before
    put(killed, day(2))
    put(undisturbed, day(2))
    assert start(place).wait(timeout=RUN_S) == 0, place.said[-3000:]
    resolve(undisturbed)
    assert seen_by_readers(killed) == seen_by_readers(undisturbed) != before
    assert not delta.read(killed, PERSON_EVENTS).isEmpty(), "nobody was merged: no row of the map was closed"


@pytest.mark.campaign
def test_twenty_kills_at_random_moments_leave_the_snapshot_of_an_undisturbed_run(
    place: Place, days: tuple[Lake, Lake]
) -> None:
    killed, undisturbed = days
    chance, begun = random.Random(6), time.monotonic()
    assert start(place).wait(timeout=RUN_S) == 0
    whole_s = time.monotonic() - begun
    resolve(undisturbed)
    hits = 0
    for number in range(2, 22):
        for one in days:
            put(one, day(number))
        before = published_snapshot(killed)
        process = start(place)
        time.sleep(chance.uniform(0.3, 1.0) * whole_s)
        if process.poll() is None:
            hits += 1
            kill(process)
        if published_snapshot(killed) != before:
            resolve(undisturbed)
        # Whoever asks in between gets a whole snapshot.
        assert seen_by_readers(killed) == seen_by_readers(undisturbed)
    assert hits > 10
