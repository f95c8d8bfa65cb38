"""The main job as a newcomer starts it: every figure is equal, nothing clear is left behind, no process outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from services.demo.jobs import started_jobs
from services.demo.memory import process_tree
from services.demo.options import Options
from services.demo.proof import case_of, prove
from services.embedded.stack import EmbeddedStack
from services.setup import paths
from tests.clear_text import clear_values_in, phones_of
from tests.demo_watch import DemoWatch, command_of, is_java, python_of
from trino_catalog.connection import connected

TIMEOUT_S = 1_500
UNDER_WAY_S = 25  # Kafka, Trino and the stream's Spark run by then, and nothing is done
SAMPLE = ("--sample", "0.1", "--seed", "7")
FULL = {"lines": "1469307", "baskets": "155848", "households": "2469", "sales": "4596039.58"}


@contextmanager
def started(home: Path, *more: str, process_group: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """A demo that has been started, and is not left running."""
    command = [str(paths.REPO / "databank"), "demo", "--home", str(home), *more]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True, process_group=process_group
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, dict[str, Any]]:
    """Exit status and facts of a demo that was asked for JSON."""
    answer, complaint = process.communicate(timeout=TIMEOUT_S)
    assert answer, complaint[-4000:]
    facts: dict[str, Any] = json.loads(answer)
    return process.returncode, facts


def demo(home: Path, *more: str) -> tuple[int, dict[str, Any]]:
    with started(home, "--json", *more) as process:
        return ended(process)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def assert_places(facts: dict[str, Any]) -> None:
    """Every record of history and every live message has exactly the place that was planned for it."""
    history, live = facts["expected"]["transactions"], facts["expected"]["live"]
    moved = facts["migration"]
    assert moved["read"] == moved["good"] + moved["quarantined"] + moved["duplicate"]
    assert moved["quarantined"] == history["quarantined"]
    assert moved["duplicate"] == history["duplicate"]
    ingested = facts["ingested"]
    assert facts["live"]["sent"] == ingested["read"] == live["messages"]
    assert ingested["read"] == ingested["good"] + ingested["quarantined"] + ingested["duplicate"]
    assert ingested["quarantined"] == sum(live["quarantined"].values())
    # A purchase of the seam is good where it came before its twin of history, else a duplicate: both may happen.
    assert live["distinct_events"] - live["seam_baskets"] <= ingested["good"] <= live["distinct_events"]
    assert facts["overlap_s"] > 0, "no live event was sent while history was being copied"
    assert facts["migration"]["cut_over"]["view"] == "sales.purchases"


def assert_answered(facts: dict[str, Any]) -> None:
    """Ten questions have answers, and no two persons were taken for one."""
    assert len(facts["answers"]) == 10
    assert [name for name, rows in facts["answers"].items() if not rows] == []
    assert facts["tags"], "no tag was computed"
    quality = facts["quality"]["identifiers"]
    assert (quality["precision"], quality["recall_of_provable"]) == (1.0, 1.0), quality


def assert_page(facts: dict[str, Any]) -> None:
    page = Path(facts["page"]).read_text(encoding="utf-8")
    assert "Every figure is equal" in page
    assert "simulated" in page
    assert f"{facts['ingested']['good']:,}" in page
    assert "http://" not in page.replace("http://www.w3.org", ""), "the page asks the internet"


def test_a_sample_is_proved_and_nothing_clear_or_running_is_left(home: Path) -> None:
    before, kept = process_tree(1), home / "kept"
    with started(home, "--json", *SAMPLE) as process:
        watch = DemoWatch(process.pid, folder=home / "data" / "spark", kept=kept)
        with watch.watching():
            status, facts = ended(process)
    assert (status, facts["proved"]) == (0, True), facts["checks"]
    assert_places(facts)
    assert_answered(facts)
    assert_page(facts)
    assert not orphans(before), "a process outlived the demo"
    phones = phones_of(home / "demo" / "export" / "members.csv")
    assert len(phones) > 200
    assert clear_values_in(home / "data", phones) == []
    assert any("shuffle" in path.name for path in kept.iterdir()), "no file of Spark was seen before it went"
    assert clear_values_in(kept, phones) == []
    assert_every_java_is_bounded(watch.java)


def assert_every_java_is_bounded(java: set[tuple[bytes, ...]]) -> None:
    """Kafka, Trino and Spark were seen, and no JVM takes as much memory as it likes."""
    for program in (b"kafka.Kafka", b"io.trino.server.TrinoServer", b"org.apache.spark.deploy.SparkSubmit"):
        assert any(program in words for words in java), program
    unbounded = [words for words in java if not any(word.startswith(b"-Xmx") for word in words)]
    assert unbounded == []


def test_a_row_planted_missing_in_it_turns_the_proof_red(home: Path) -> None:
    case = case_of(Options(home, 0.1, 7, plants_missing_row=False))
    with EmbeddedStack(home / "data", with_kafka=False) as stack, connected(stack.trino_url) as trino:
        before = {check.name for check in prove(case, trino) if not check.holds}
        with started_jobs(stack.settings_path, stack.layout.logs) as jobs:
            jobs.run("planting", ["services.demo.planting"])
        after = {check.name for check in prove(case, trino) if not check.holds}
    assert before == set()
    assert {"lines", "lines that readers see"} <= after


@pytest.mark.campaign
def test_a_demo_with_a_row_planted_missing_says_so(tmp_path: Path) -> None:
    status, facts = demo(tmp_path, *SAMPLE, "--plant", "missing-row")
    assert (status, facts["proved"]) == (1, False)
    wrong = {name for name, check in facts["checks"].items() if not check["holds"]}
    assert "lines" in wrong


@pytest.mark.thorough
def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    before = process_tree(1)
    with started(tmp_path, *SAMPLE, process_group=0) as process:
        time.sleep(UNDER_WAY_S)
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in said
    assert not orphans(before), "a process outlived the demo"


@pytest.mark.thorough
def test_a_job_that_is_killed_is_named_and_everything_stops(tmp_path: Path) -> None:
    before = process_tree(1)
    with started(tmp_path, *SAMPLE) as process:
        time.sleep(UNDER_WAY_S)
        os.kill(python_of("ingest", process.pid, most_s=60), signal.SIGKILL)
        _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    assert "databank demo: ingest ended with status -9" in said
    assert not orphans(before), "a process outlived the demo"


@pytest.mark.thorough
def test_a_demo_that_is_killed_leaves_no_process(tmp_path: Path) -> None:
    before = process_tree(1)
    with started(tmp_path, *SAMPLE) as process:
        time.sleep(UNDER_WAY_S)
        python_of("ingest", process.pid, most_s=60)
        process.kill()
        process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    # A JVM of Spark notices the end of its Python, and then tidies up.
    assert not orphans(before, most_s=60), "a process outlived the demo"


@pytest.mark.campaign
def test_the_whole_year_is_proved(tmp_path: Path) -> None:
    status, facts = demo(tmp_path)
    assert (status, facts["proved"]) == (0, True), facts["checks"]
    assert {name: facts["checks"][name]["found"] for name in FULL} == FULL
    assert facts["checks"]["silent members"]["found"] == "300"
    assert facts["checks"]["dormant members"]["found"] == "144"
    assert_places(facts)
    assert_answered(facts)
    assert facts["peak_memory_mb"] < 8_192


def orphans(before: set[int], *, most_s: float = 15) -> set[int]:
    """Processes of Java or of this project that were not there before; they get a moment to end."""
    until = time.monotonic() + most_s
    while (left := {pid for pid in process_tree(1) - before if is_ours(pid)}) and time.monotonic() < until:
        time.sleep(0.5)
    return left


def is_ours(pid: int) -> bool:
    command = command_of(pid)
    return is_java(command) or any(b"spark_jobs" in word or b"services" in word for word in command)
