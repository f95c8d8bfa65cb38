"""The demo's own processes: what it says of one that fails, how long live and history overlap, what is ended."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from rich.console import Console

from services.demo import run
from services.demo.display import Board
from services.demo.jobs import Job, Jobs
from services.demo.options import Options
from spark_jobs.errors import TerminalError
from tests.demo_watch import DemoWatch, command_of

# A job whose child, like a Spark's Java, lives on when the job is killed.
WITH_CHILD = "import subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); input()"


def job(tmp_path: Path, name: str, code: str) -> Job:
    log, answer = tmp_path / f"{name}.log", tmp_path / f"{name}.json"
    with log.open("wb") as errors, answer.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
    return Job(name, process, log, answer)


def closed(one: Job) -> None:
    one.process.communicate(timeout=10)


def test_the_java_of_a_job_that_was_killed_is_ended_too(tmp_path: Path) -> None:
    one = job(tmp_path, "ingest", WITH_CHILD)
    while not (told := one.answer.read_text()).endswith("\n"):
        time.sleep(0.02)
    os.kill(one.pid, signal.SIGKILL)
    closed(one)
    assert command_of(int(told))[0] == b"sleep"
    Jobs(tmp_path, tmp_path, [one]).stop_all()
    until = time.monotonic() + 5
    while command_of(int(told)) not in ((), (b"",)) and time.monotonic() < until:
        time.sleep(0.02)
    assert command_of(int(told)) in ((), (b"",))


def test_another_job_that_fails_ends_the_waiting_at_once(tmp_path: Path) -> None:
    history, stream = (
        job(tmp_path, "migration", "input()"),
        job(tmp_path, "ingest", "import os; os.kill(os.getpid(), 9)"),
    )
    try:
        with pytest.raises(TerminalError, match="ingest ended with status -9"):
            run._wait_for(lambda: False, history, stream, what="nothing", most_s=20)
    finally:
        closed(stream)
        history.process.kill()
        closed(history)


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("copied_after_s", "wanted_s"),
    [
        pytest.param(-1.0, 0.0, id="history was copied before"),
        pytest.param(0.6, 0.6, id="history was copied meanwhile"),
        pytest.param(9.0, 1.0, id="history was being copied all the time"),
    ],
)
def test_the_overlap_ends_when_history_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied_after_s: float, wanted_s: float
) -> None:
    clock = Clock()
    monkeypatch.setattr(run, "time", clock)
    live, history, jobs = Mock(spec=Job), Mock(spec=Job), Mock(spec=Jobs)
    live.is_running = lambda: clock.now < 1.0
    live.last_line.return_value = ""

    def ended() -> list[dict[str, Any]]:
        clock.now = max(clock.now, 1.0)
        return [{"sent": 10, "seconds": 1.0}]

    live.result = ended
    history.said = lambda words: words == "step copy:" and clock.now > copied_after_s
    jobs.start.return_value = live
    options = Options(tmp_path, 1.0, 7, plants_missing_row=False)
    outcome = run.Outcome(options)
    board = Board(Console(file=io.StringIO()), run.STAGES)
    run._send_live(run.Stage(options, board, Mock(), jobs, outcome), history)
    assert outcome.overlap_s == pytest.approx(wanted_s, abs=0.35)  # it looks four times a second


def test_the_watch_keeps_what_is_removed_and_sees_every_java(tmp_path: Path) -> None:
    folder, java = tmp_path / "spark", tmp_path / "java"
    (folder / "blockmgr" / "0a").mkdir(parents=True)
    java.symlink_to("/bin/sleep")
    watch = DemoWatch(os.getpid(), folder=folder, kept=tmp_path / "kept")
    with subprocess.Popen([str(java), "3"]) as process, watch.watching():
        file = folder / "blockmgr" / "0a" / "temp_shuffle_1"
        file.write_bytes(b"a row")
        until = time.monotonic() + 5
        while not (watch.java and list((tmp_path / "kept").iterdir())) and time.monotonic() < until:
            time.sleep(0.05)
        file.rename(file.with_name("shuffle_0_0_0.data"))
        time.sleep(0.3)
        file.with_name("shuffle_0_0_0.data").unlink()
        process.kill()
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.read_bytes() == b"a row"
    assert watch.java == {(str(java).encode(), b"3", b"")}
