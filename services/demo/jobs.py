"""The platform's own processes as the demo starts them: each with a log of its own, none outlives the demo."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.embedded.processes import tail
from services.setup import paths
from services.setup.resolved import environment, resolved
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import SETTINGS_VARIABLE

_GUARD = paths.REPO / "services" / "embedded" / "guard.py"
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class Job:
    """One process: its arguments after `python -m`, its log, and where it writes its answer."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    answer: Path
    began: float = field(default_factory=time.monotonic)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def is_running(self) -> bool:
        """True until it has ended."""
        return self.process.poll() is None

    def result(self) -> list[dict[str, Any]]:
        """Wait for its end; the JSON objects that it printed. Its failure is raised with its last words."""
        status = self.process.wait()
        if status != 0:
            kind = RetryableError if status == os.EX_TEMPFAIL else TerminalError
            raise kind(f"{self.name} ended with status {status}. Its log {self.log} ends with:\n{tail(self.log)}")
        return self.answers()

    def answers(self) -> list[dict[str, Any]]:
        """The JSON objects that it has printed so far."""
        return _json_objects(self.answer.read_text(encoding="utf-8"))

    def end(self) -> None:
        """Ask a stream to take in what has arrived and to end."""
        self.process.send_signal(signal.SIGTERM)

    def said(self, words: str) -> bool:
        """True once its log holds these words."""
        return words.encode() in self.log.read_bytes()

    def last_line(self) -> str:
        """What it logged last, for the display."""
        text = tail(self.log, lines=1).strip()
        return text.split(": ", 1)[-1]


@dataclass(slots=True)
class Jobs:
    """Starts the platform's processes with one settings file; ends those that are left."""

    settings: Path
    logs: Path
    _started: list[Job] = field(default_factory=list)

    def start(self, name: str, arguments: Sequence[str]) -> Job:
        """Start `python -m ARGUMENTS` in a session of its own; it dies with this process."""
        log, answer = self.logs / f"{name}.log", self.logs / f"{name}.json"
        command = [sys.executable, "-S", "-E", str(_GUARD), str(os.getpid()), sys.executable, "-m", *arguments]
        with log.open("wb") as errors, answer.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=self._environment(),
                cwd=paths.REPO,
                start_new_session=True,
            )
        job = Job(name, process, log, answer)
        self._started.append(job)
        return job

    def run(self, name: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
        """Start and wait."""
        return self.start(name, arguments).result()

    def stop_all(self) -> None:
        """End what still runs, Java included: every write can be repeated, so nothing is lost by it."""
        for job in self._started:
            # Of a job that was killed, its Java may still run.
            if job.is_running() or job.process.returncode < 0:
                with suppress(ProcessLookupError):
                    os.killpg(job.pid, signal.SIGKILL)
                job.process.wait(timeout=_STOP_S)

    def _environment(self) -> Mapping[str, str]:
        return {**environment(resolved()), SETTINGS_VARIABLE: str(self.settings)}


@contextmanager
def started_jobs(settings: Path, logs: Path) -> Iterator[Jobs]:
    """Jobs that are all gone when the block is left, whatever the reason."""
    jobs = Jobs(settings, logs)
    try:
        yield jobs
    finally:
        jobs.stop_all()


def _json_objects(text: str) -> list[dict[str, Any]]:
    """Objects printed one after the other, on one line or on many."""
    decoder, position, found = json.JSONDecoder(), 0, []
    while (start := text.find("{", position)) >= 0:
        value, position = decoder.raw_decode(text, start)
        found.append(value)
    return found
