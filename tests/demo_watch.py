"""Watches a demo from outside while it runs: Spark's local files before Spark removes them, and every Java."""

from __future__ import annotations

import os
import time
from contextlib import AbstractContextManager
from pathlib import Path

from services.demo.memory import process_tree, repeated

_EVERY_S = 0.2
_LOOKS_PER_JAVA = 5  # looking at all processes costs more than looking at one folder


class DemoWatch:
    """Keeps a second name of every file under `folder` in `kept`, and the command line of every Java below `pid`."""

    def __init__(self, pid: int, *, folder: Path, kept: Path) -> None:
        kept.mkdir()
        self.java: set[tuple[bytes, ...]] = set()
        self._pid, self._folder, self._kept = pid, folder, kept
        self._known: set[int] = set()
        self._looks = 0

    def watching(self) -> AbstractContextManager[None]:
        """Look as long as the block lasts."""
        return repeated(self._look, every_s=_EVERY_S)

    def _look(self) -> None:
        self._keep_files()
        if self._looks % _LOOKS_PER_JAVA == 0:
            self.java |= {words for pid in process_tree(self._pid) if is_java(words := command_of(pid))}
        self._looks += 1

    def _keep_files(self) -> None:
        for folder, _, names in os.walk(self._folder):
            for path in (Path(folder, name) for name in names):
                try:
                    inode = path.stat().st_ino  # a file that gets another name stays the same
                    if inode not in self._known:
                        os.link(path, self._kept / f"{inode}-{path.name}")
                except FileNotFoundError:
                    continue  # it is gone already
                self._known.add(inode)


def command_of(pid: int) -> tuple[bytes, ...]:
    """The words of a process's command line; none where it has ended."""
    try:
        return tuple(Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"))
    except OSError:
        return ()


def is_java(command: tuple[bytes, ...]) -> bool:
    """Whether the process runs a JVM."""
    return bool(command) and command[0].rpartition(b"/")[2] == b"java"


def python_of(job: str, pid: int, *, most_s: float) -> int:
    """The Python process of a job of the demo `pid`, as soon as it runs."""
    until = time.monotonic() + most_s
    while time.monotonic() < until:
        for one in process_tree(pid):
            if command_of(one)[1:4] == (b"-m", b"spark_jobs", job.encode()):
                return one
        time.sleep(0.1)
    raise AssertionError(f"{job} did not run within {most_s:.0f} s")
