"""CPU seconds of a process and of all that it started, from the operating system."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Self

_TICKS = os.sysconf("SC_CLK_TCK")
# Fields 14 to 17 of /proc/PID/stat (proc(5)): user and system time, its own and that of children that have ended.
_TIMES = slice(11, 15)


def seconds() -> float:
    """User and system time of this process and its living descendants, with what theirs took that have ended."""
    return sum(_tree().values())


def _tree() -> dict[int, float]:
    """This process and its living descendants, with their times and those of their children that have ended."""
    times, children = {}, defaultdict(list)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
        except OSError:  # it ended meanwhile; its parent has its time
            continue
        times[int(entry.name)] = sum(map(int, fields[_TIMES])) / _TICKS
        children[int(fields[1])].append(int(entry.name))
    found, waiting = {}, [os.getpid()]
    while waiting:
        process = waiting.pop()
        found[process] = times.get(process, 0.0)
        waiting += children[process]
    return found


class Peaks:
    """The most memory that each process has held that this one started in a block, looked at twice a second."""

    def __enter__(self) -> Self:
        self._found: dict[int, int] = {}
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, *_args: object) -> None:
        self._is_over.set()
        self._watch.join()

    def largest_mb(self, *, beside: Collection[int]) -> int:
        """Of one process, none of `beside` and not this one."""
        return max((held for process, held in self._found.items() if process not in beside), default=0)

    def _look(self) -> None:
        while not self._is_over.wait(0.5):
            for process in _tree().keys() - {os.getpid()}:
                with suppress(OSError, StopIteration):  # it ended meanwhile
                    self._found[process] = peak_memory_mb(process)


def peak_memory_mb(process: int) -> int:
    """The most memory that a process has held so far, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024
