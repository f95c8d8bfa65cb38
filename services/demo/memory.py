"""How much memory the demo and all its processes hold, sampled while it runs."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

_EVERY_S = 2.0
_PARENT_FIELD = 1  # of /proc/PID/stat after the name
_RESIDENT_FIELD = 1  # of /proc/PID/statm


class MemoryWatch:
    """Samples what this process tree holds, at most: a page that n processes share counts n times.

    The exact share (`smaps_rollup`) makes the kernel walk every page: a sample every 2 s took 4 % of two cores.
    """

    def __init__(self) -> None:
        self.peak_mb = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_EVERY_S):
            self.peak_mb = max(self.peak_mb, sum(_held_kb(pid) for pid in process_tree(os.getpid())) // 1024)


def process_tree(root: int) -> set[int]:
    """The process `root` and all its descendants that live now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (parent := _parent(entry)) is not None:
            children.setdefault(parent, []).append(int(entry.name))
    found, waiting = set(), [root]
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting += children.get(pid, [])
    return found


def _parent(entry: Path) -> int | None:
    try:
        text = (entry / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[_PARENT_FIELD])


def _held_kb(pid: int) -> int:
    try:
        resident_pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[_RESIDENT_FIELD])
    except OSError:
        return 0  # it ended meanwhile
    return resident_pages * resource.getpagesize() // 1024
