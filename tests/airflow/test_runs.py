"""What Airflow runs for real, and what a kill -9 of task and scheduler leaves behind."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest
from deltalake import DeltaTable

from services.embedded.processes import Identity
from services.embedded.stack import EmbeddedStack
from tests.airflow.web import Web
from tests.streams import message, produce

LONG_S = 900.0
SOON_S = 30.0
MESSAGES = 300


def processes() -> dict[int, tuple[int, str]]:
    """Of every process its parent and its command line."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found[int(place.name)] = parent, command
    return found


def started_by_tasks(stack: EmbeddedStack) -> dict[str, Identity]:
    """Driver and JVM of the stack's own task: both have its settings file in their environment."""
    told, found = f"DATABANK_SETTINGS={stack.settings_path}".encode(), {}
    for pid, (_, command) in processes().items():
        kind = "java" if "org.apache.spark" in command else "driver" if "-m spark_jobs" in command else ""
        try:
            if kind and told in Path(f"/proc/{pid}/environ").read_bytes():
                found[kind] = Identity.of(pid)
        except OSError:
            continue
    return found


def scheduler_of(stack: EmbeddedStack) -> int:
    keeper = next(
        pid
        for pid, (_, command) in processes().items()
        if "airflow_keeper" in command and str(stack.layout.root) in command
    )
    return next(pid for pid, (parent, line) in processes().items() if parent == keeper and "scheduler" in line)


def wait_until_gone(programs: dict[str, Identity]) -> None:
    until = time.monotonic() + SOON_S
    while left := [name for name, one in programs.items() if one.is_alive()]:
        assert time.monotonic() < until, f"still there: {left}"
        time.sleep(0.1)


def test_the_dag_that_verifies_a_cluster_succeeds(web: Web) -> None:
    run = web.start("databank_smoke")
    web.wait_for(lambda: web.states(run)[""] in {"success", "failed"}, "the smoke run ends", most_s=LONG_S)
    assert web.states(run) == {"": "success", "succeed": "success"}


@pytest.mark.thorough
def test_kill_9_of_task_and_scheduler_leave_no_spark_behind_and_no_row_twice(stack: EmbeddedStack, web: Web) -> None:
    produce(stack.kafka_bootstrap, MESSAGES)
    run = web.wake("databank_daily")
    kill_while(stack, web, (run, "audit"), lambda drivers: processes()[drivers["driver"].pid][0])
    assert web.states(run)["audit"] != "success"
    web.wait_for(lambda: web.states(run)["audit"] == "success", "the audit is tried again", most_s=LONG_S)
    kill_while(stack, web, (run, "take_in_what_arrived"), lambda _: scheduler_of(stack))
    web.wait_for(lambda: web.states(run)[""] in {"success", "failed"}, "the run ends", most_s=LONG_S)
    states = web.states(run)
    assert states["take_in_what_arrived"] == "success"
    # No history was moved in, so tags have nothing to go by: that is said once, and not tried again.
    assert states["compute"] == "failed"
    assert web.get(f"{run}/taskInstances/compute")["try_number"] == 1
    assert "found no tables" in web.log(run, "compute")
    assert "Repeating it cannot succeed" in web.log(run, "compute")
    wanted = {json.loads(message(n))["event_id"] for n in range(MESSAGES) if n % 100 != 99}
    found = DeltaTable(str(stack.layout.lake / "core" / "events")).to_pyarrow_table(columns=["event_id"])
    assert sorted(found["event_id"].to_pylist()) == sorted(wanted)


def kill_while(stack: EmbeddedStack, web: Web, place: tuple[str, str], victim) -> None:
    """Wait until the task's Spark runs, kill -9 the victim; Spark is gone soon after."""
    run, task = place
    web.wait_for(
        lambda: web.states(run)[task] == "running" and set(started_by_tasks(stack)) == {"driver", "java"},
        f"{task} starts Spark",
        most_s=LONG_S,
    )
    programs = started_by_tasks(stack)
    os.kill(victim(programs), signal.SIGKILL)
    wait_until_gone(programs)
