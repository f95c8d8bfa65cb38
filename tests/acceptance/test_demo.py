"""The main job as a newcomer starts it: every figure is equal, nothing clear is left behind, no process outlives it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from services.demo import export_source
from services.demo.jobs import started_jobs
from services.demo.memory import process_tree
from services.demo.options import BASE, ZONE
from services.demo.proof import Case, prove
from services.embedded.stack import EmbeddedStack
from services.setup import paths
from tests.clear_text import clear_values_in, phones_of
from trino_catalog.connection import connected

TIMEOUT_S = 1_500
FULL = {"lines": "1469307", "baskets": "155848", "households": "2469", "sales": "4596039.58"}


def demo(home: Path, *more: str) -> tuple[int, dict[str, Any]]:
    command = [str(paths.REPO / "databank"), "demo", "--json", "--home", str(home), *more]
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert answer.stdout, answer.stderr[-4000:]
    facts: dict[str, Any] = json.loads(answer.stdout)
    return answer.returncode, facts


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
    assert facts["live"]["sent"] == live["messages"]
    assert facts["overlap_s"] > 0, "no live event was sent while history was on its way"


def test_a_sample_is_proved_and_nothing_clear_or_running_is_left(home: Path) -> None:
    before = process_tree(1)
    status, facts = demo(home, "--sample", "0.1", "--seed", "7")
    assert (status, facts["proved"]) == (0, True), facts["checks"]
    assert_places(facts)
    assert facts["tags"], "no tag was computed"
    assert not orphans(before), "a process outlived the demo"
    phones = phones_of(home / "demo" / "export" / "members.csv")
    assert len(phones) > 200
    assert clear_values_in(home / "data", phones) == []
    page = Path(facts["page"]).read_text(encoding="utf-8")
    assert "Every figure is equal" in page
    assert "http://" not in page.replace("http://www.w3.org", ""), "the page asks the internet"


def test_a_row_planted_missing_in_it_turns_the_proof_red(home: Path) -> None:
    case = Case(export_source.package_folder(), home / "demo" / "export" / "members.csv", ZONE, BASE)
    with EmbeddedStack(home / "data", with_kafka=False) as stack, connected(stack.trino_url) as trino:
        before = {check.name for check in prove(case, trino) if not check.holds}
        with started_jobs(stack.settings_path, stack.layout.logs) as jobs:
            jobs.run("planting", ["services.demo.planting"])
        after = {check.name for check in prove(case, trino) if not check.holds}
    assert before == set()
    assert "lines" in after


@pytest.mark.campaign
def test_a_demo_with_a_row_planted_missing_says_so(tmp_path: Path) -> None:
    status, facts = demo(tmp_path, "--sample", "0.1", "--seed", "7", "--plant", "missing-row")
    assert (status, facts["proved"]) == (1, False)
    wrong = {name for name, check in facts["checks"].items() if not check["holds"]}
    assert "lines" in wrong


def test_ctrl_c_stops_everything(tmp_path: Path) -> None:
    before = process_tree(1)
    command = [str(paths.REPO / "databank"), "demo", "--sample", "0.1", "--home", str(tmp_path)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0)
    time.sleep(25)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"interrupted" in said
    assert not orphans(before), "a process outlived the demo"


@pytest.mark.campaign
def test_the_whole_year_is_proved(tmp_path: Path) -> None:
    status, facts = demo(tmp_path)
    assert (status, facts["proved"]) == (0, True), facts["checks"]
    assert {name: facts["checks"][name]["found"] for name in FULL} == FULL
    assert facts["checks"]["silent members"]["found"] == "300"
    assert facts["checks"]["dormant members"]["found"] == "144"
    assert_places(facts)
    assert facts["peak_memory_mb"] < 8_192


def orphans(before: set[int]) -> set[int]:
    """Processes of Java or of this project that were not there before; they get a moment to end."""
    until = time.monotonic() + 15
    while (left := {pid for pid in process_tree(1) - before if is_ours(pid)}) and time.monotonic() < until:
        time.sleep(0.5)
    return left


def is_ours(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"java" in command.split(b"\0")[0] or b"spark_jobs" in command or b"services" in command
