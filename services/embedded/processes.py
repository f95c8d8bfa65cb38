"""Child processes: start, wait until they answer, stop in good order, and know one's own process from a reused id."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spark_jobs.errors import RetryableError, TerminalError

_GUARD = Path(__file__).with_name("guard.py")
_POLL_S = 0.1
_TAIL_LINES = 12
_START_TIME_FIELD = 19  # of /proc/PID/stat after the name, which may hold blanks


@dataclass(frozen=True, slots=True)
class Identity:
    """A process and the moment it started (clock ticks since boot): the pair is never reused."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Identity:
        """That of the process which has this number now."""
        return cls(pid, _start_ticks(pid) or 0)

    def is_alive(self) -> bool:
        """True while this very process runs."""
        return _start_ticks(self.pid) == self.started


@dataclass(frozen=True, slots=True)
class Child:
    """A service that was started; `process` is None where an earlier command started it."""

    name: str
    identity: Identity
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def is_alive(self) -> bool:
        """True while it runs; reaps it when it has ended."""
        if self.process is not None:
            return self.process.poll() is None
        return self.identity.is_alive()


def start(
    name: str, command: Sequence[str], *, log: Path, environment: Mapping[str, str], lock: int, dies_with_parent: bool
) -> Child:
    """Start a service in a session of its own, so that Ctrl-C reaches it through us, in order.

    `lock` is an open file that stays locked while the service lives. With `dies_with_parent` the call must come
    from the main thread: the kernel ties the signal to the thread that starts the process.
    """
    if dies_with_parent:
        if threading.current_thread() is not threading.main_thread():
            raise TerminalError(f"{name} must be started by the main thread; found {threading.current_thread().name}")
        command = [sys.executable, "-S", "-E", str(_GUARD), str(os.getpid()), *command]
    with output_of(log).open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=log.parent,  # what a service writes to a relative path lands there
            pass_fds=(lock,),
            start_new_session=True,
        )
    return Child(name, Identity.of(process.pid), log, process)


def wait_until(child: Child, answers: Callable[[], bool], *, timeout_s: float) -> None:
    """Return when `answers()`; RetryableError with the end of the log when the service ends or is too slow."""
    until = time.monotonic() + timeout_s
    while not answers():
        if not child.is_alive():
            raise RetryableError(f"{child.name} ended while starting. {_what_it_said(child.log)}")
        if time.monotonic() > until:
            raise RetryableError(f"{child.name} did not answer within {timeout_s:.0f} s. {_what_it_said(child.log)}")
        time.sleep(_POLL_S)


def stop(child: Child, *, timeout_s: float) -> bool:
    """Ask the service to end, insist after `timeout_s`; True when it ended by itself."""
    if not child.is_alive():
        return True
    _signal(child.identity, signal.SIGTERM)
    until = time.monotonic() + timeout_s
    while child.is_alive():
        if time.monotonic() > until:
            _signal(child.identity, signal.SIGKILL)
            _wait_gone(child)
            return False
        time.sleep(_POLL_S)
    return True


def let_go(child: Child) -> None:
    """Leave the service running: Python's process object must neither wait for it nor warn of it."""
    if child.process is not None:
        child.process.returncode = 0


def output_of(log: Path) -> Path:
    """Where standard output and error go: what is said before logging begins, or instead of it."""
    return log.with_suffix(".out")


def tail(log: Path, lines: int = _TAIL_LINES) -> str:
    """The last lines of a log, as far as it can be read."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
        return "\n".join([line for line in text.splitlines() if line.strip() and not line.startswith("\tat ")][-lines:])
    except OSError as error:
        return f"(the log cannot be read: {error.strerror})"


def to_note(child: Child) -> dict[str, Any]:
    """What a later command needs to find the service again."""
    return {"pid": child.identity.pid, "started": child.identity.started, "log": str(child.log)}


def from_note(name: str, note: Mapping[str, Any]) -> Child:
    """The service that `to_note` described."""
    return Child(name, Identity(int(note["pid"]), int(note["started"])), Path(note["log"]))


def _what_it_said(log: Path) -> str:
    return f"{output_of(log)} ends with:\n{tail(output_of(log), 4)}\nIts log {log} ends with:\n{tail(log)}"


def _signal(identity: Identity, number: signal.Signals) -> None:
    if identity.is_alive():
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return


def _wait_gone(child: Child) -> None:
    while child.is_alive():
        time.sleep(_POLL_S)


def _start_ticks(pid: int) -> int | None:
    """Start time of a running process in clock ticks since boot; None when there is none, or only its remains."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in {"Z", "X"} else int(fields[_START_TIME_FIELD])
