"""A program that a task starts: what it says goes to the task's log as it says it, and it never outlives the task."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

GUARD = Path(__file__).resolve().parents[1] / "services" / "embedded" / "guard.py"
GRACE_S = 3.0  # Airflow asks the task's process group to end, and kills all of it 5 s later
DRAIN_S = 5.0  # a JVM may hold the pipes for a moment when its driver has ended
_POLL_S = 0.5
_MOST_OF_A_LINE = 1 << 20  # bytes; what is longer is passed on in pieces
_MOST_IN_THE_LOG = 2000  # characters of one line
_LAST_WORDS = 4


class OrphanedError(Exception):
    """Airflow's supervisor of this task is gone: its retry will run, so nothing of this attempt may."""


def is_worth_a_retry(status: int) -> bool:
    """True for "try again later" (75) and for death by a signal, as Python (-9) and as shells (137) tell of it."""
    return status == os.EX_TEMPFAIL or status < 0 or status > 128


class Child:
    """A running program.

    It stays in the task's process group, where Airflow's signals reach it; the kernel kills it where the task is
    killed, for then nobody else would.

    `facts` are the members of the JSON objects that it printed, later ones over earlier ones; `last_words` the end of
    what it said on standard error.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        """Start it, from the main thread: the kernel ties its life to the thread that starts it."""
        self._tell = tell
        self._parent = os.getppid()
        self._kill_at: float | None = None
        self.facts: dict[str, Any] = {}
        self.last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        guarded = [sys.executable, "-S", "-E", str(GUARD), str(os.getpid()), *command]
        self._process = subprocess.Popen(
            guarded,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
        )

    def wait(self) -> int:
        """Its exit status; whatever ends the wait (time-out, orphaned task) ends the program as well."""
        try:
            self._listen()
            return self._process.wait()
        finally:
            self._end()

    def ask_to_end(self) -> None:
        """Ask it to end; `wait` insists after GRACE_S. Safe in a handler of signals."""
        if self._process.poll() is None:
            self._process.terminate()
            self._kill_at = time.monotonic() + GRACE_S

    def _listen(self) -> None:
        pipes = {self._process.stdout: self._take_fact, self._process.stderr: self._take_line}
        ended_at: float | None = None
        with selectors.DefaultSelector() as selector:
            for pipe, take in pipes.items():
                assert pipe is not None
                selector.register(pipe, selectors.EVENT_READ, (_Lines(), take))
            while selector.get_map():
                for key, _ in selector.select(_POLL_S):
                    lines, take = key.data
                    chunk = os.read(key.fd, 1 << 16)
                    for line in lines.fed(chunk):
                        take(line)
                    if not chunk:
                        selector.unregister(key.fileobj)
                self._look_around()
                if self._process.poll() is not None:
                    ended_at = ended_at or time.monotonic()
                    if time.monotonic() > ended_at + DRAIN_S:
                        return

    def _look_around(self) -> None:
        if os.getppid() != self._parent:
            raise OrphanedError("the supervisor of this task has ended; so does what the task started")
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            self._process.kill()

    def _take_fact(self, line: str) -> None:
        self._tell(line[:_MOST_IN_THE_LOG])
        try:
            said = json.loads(line)
        except ValueError:
            return
        if isinstance(said, dict):
            self.facts |= said

    def _take_line(self, line: str) -> None:
        self._tell(line[:_MOST_IN_THE_LOG])
        if line.strip():
            self.last_words.append(line.strip()[:_MOST_IN_THE_LOG])

    def _end(self) -> None:
        self.ask_to_end()
        try:
            self._process.wait(timeout=GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()


class _Lines:
    """Bytes as they come from a pipe, made into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def fed(self, chunk: bytes) -> Iterator[str]:
        """The lines that are whole now; no bytes mean the end, and give what is left."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if self._rest and (not chunk or len(self._rest) > _MOST_OF_A_LINE):
            whole, self._rest = [*whole, self._rest], b""
        for line in whole:
            yield line.decode("utf-8", errors="replace").rstrip("\r")
