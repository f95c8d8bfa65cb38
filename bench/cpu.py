"""CPU seconds of a process and of all that it started, from the operating system."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
# Fields 14 to 17 of /proc/PID/stat (proc(5)): user and system time, its own and that of children that have ended.
_TIMES = slice(11, 15)


def seconds() -> float:
    """User and system time of this process and its living descendants, with what theirs took that have ended."""
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
    total, waiting = 0.0, [os.getpid()]
    while waiting:
        process = waiting.pop()
        total += times.get(process, 0.0)
        waiting += children[process]
    return total


def peak_memory_mb(process: int) -> int:
    """The most memory that a process has held so far, in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024
