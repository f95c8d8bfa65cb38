"""What a task starts: it is heard, its status is understood, and it goes when its task goes, however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from _child import Child, is_worth_a_retry
from services.embedded.processes import Identity
from services.setup import paths

SOON_S = 10.0
# Becomes what a task is to Airflow: starts a program and waits for it.
TASK = """
import os, signal, sys
from _child import Child
child = Child(sys.argv[1:], dict(os.environ), lambda line: print(line, flush=True))
signal.signal(signal.SIGTERM, lambda *_: child.ask_to_end())
print("status", child.wait(), flush=True)
"""
SUPERVISOR = """
import subprocess, sys
subprocess.run([sys.executable, "-c", *sys.argv[1:]])
"""
SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(300)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPS}"


def told_by(code: str) -> tuple[Child, int, list[str]]:
    lines: list[str] = []
    child = Child([sys.executable, "-c", code], dict(os.environ), lines.append)
    return child, child.wait(), lines


def test_every_line_is_told_and_what_was_printed_as_json_becomes_facts() -> None:
    code = """
import sys
print('{"rows": 1, "days": 2}')
print("no JSON")
print('[1]')
print('{"rows": 3}', end="")
sys.stderr.write("one\\n\\ntwo\\n")
sys.exit(75)
"""
    child, status, lines = told_by(code)
    assert status == 75
    assert child.facts == {"rows": 3, "days": 2}
    assert list(child.last_words) == ["one", "two"]
    assert set(lines) == {'{"rows": 1, "days": 2}', "no JSON", "[1]", '{"rows": 3}', "one", "", "two"}


def test_a_line_without_end_fills_neither_memory_nor_log() -> None:
    _, status, lines = told_by("import sys; sys.stderr.write('x' * 3_000_000)")
    assert status == 0
    assert 0 < sum(map(len, lines)) < 10_000


@pytest.mark.parametrize(
    ("status", "is_worth_it"),
    [
        pytest.param(75, True, id="try again later"),
        pytest.param(-9, True, id="killed"),
        pytest.param(137, True, id="killed, as a shell says it"),
        pytest.param(130, True, id="interrupted"),
        pytest.param(1, False, id="a person must change something"),
        pytest.param(2, False, id="wrong usage"),
        pytest.param(70, False, id="a defect"),
    ],
)
def test_only_what_can_succeed_unchanged_is_tried_again(status: int, is_worth_it: bool) -> None:
    assert is_worth_a_retry(status) is is_worth_it


@pytest.fixture
def task(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], Identity]]:
    """A task in a session of its own, and what it started; `request.param` are the words before TASK's own."""
    before, code = request.param
    environment = {**os.environ, "PYTHONPATH": str(paths.REPO / "dags")}
    command = [sys.executable, "-c", *before, TASK, sys.executable, "-c", code]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        yield process, Identity.of(pid)
        for number in (process.pid, pid):
            if Path(f"/proc/{number}").exists():
                os.kill(number, signal.SIGKILL)


def gone_after_s(program: Identity) -> float:
    began = time.monotonic()
    while program.is_alive():
        assert time.monotonic() < began + SOON_S, "it outlived its task"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.mark.parametrize("task", [pytest.param(([], SLEEPS), id="task")], indirect=True)
def test_kill_9_of_a_task_takes_its_program_along(task) -> None:
    process, program = task
    assert program.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    assert gone_after_s(program) < 1


@pytest.mark.parametrize("task", [pytest.param(([], SLEEPS), id="task")], indirect=True)
def test_a_program_is_of_its_tasks_process_group_where_airflows_signals_reach_it(task) -> None:
    process, program = task
    assert os.getpgid(program.pid) == os.getpgid(process.pid)


@pytest.mark.parametrize("task", [pytest.param(([SUPERVISOR], SLEEPS), id="supervisor")], indirect=True)
def test_kill_9_of_the_supervisor_takes_the_program_along(task) -> None:
    process, program = task
    os.kill(process.pid, signal.SIGKILL)
    gone_after_s(program)


@pytest.mark.parametrize(
    ("task", "status"),
    [
        pytest.param(([], SLEEPS), -signal.SIGTERM, id="one that goes when asked"),
        pytest.param(([], STUBBORN), -signal.SIGKILL, id="one that does not"),
    ],
    indirect=["task"],
)
def test_a_cancelled_task_ends_its_program_within_airflows_five_seconds(task, status) -> None:
    process, program = task
    os.kill(process.pid, signal.SIGTERM)
    assert gone_after_s(program) < 5
    assert f"status {status}" in process.stdout.read()
