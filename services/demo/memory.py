"""How much memory the demo and all its processes hold, sampled while it runs."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

_EVERY_S = 2.0
_GROWN = 1.03
_PARENT_FIELD = 1  # of /proc/PID/stat after the name
_RESIDENT_FIELD = 1  # of /proc/PID/statm


class MemoryWatch:
    """Samples what this process tree holds: a page that processes share counts once.

    Sizes of processes are cheap to ask for, and count shared pages several times: the archive of Spark's classes, what
    Python's workers have of the process that they were made of. The exact share (`smaps_rollup`) makes the kernel walk
    every page, which took 4 % of two cores every 2 s. So it is asked for when the sum of sizes has grown, and tells how
    much of the sum is real until it is asked for again.
    """

    def __init__(self) -> None:
        self.peak_mb = 0
        self._measured_kb, self._real_share = 0, 1.0

    def watching(self) -> AbstractContextManager[None]:
        """Sample this process and all below it as long as the block lasts."""
        return repeated(lambda: self.sample(process_tree(os.getpid())), every_s=_EVERY_S)

    def sample(self, pids: Iterable[int]) -> None:
        """Take these processes into the peak."""
        sizes_kb = sum(map(_size_kb, pids))
        if sizes_kb > self._measured_kb * _GROWN:
            # The sizes of the same moment: processes come and go.
            exact = [(_size_kb(pid), real) for pid in pids if (real := _real_kb(pid))]
            self._measured_kb = sum(size for size, _ in exact)
            self._real_share = sum(real for _, real in exact) / max(1, self._measured_kb)
        self.peak_mb = max(self.peak_mb, int(sizes_kb * self._real_share) // 1024)


@contextmanager
def repeated(act: Callable[[], None], *, every_s: float) -> Iterator[None]:
    """Do it again and again in a thread of its own until the block is left."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(every_s):
            act()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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


def _size_kb(pid: int) -> int:
    try:
        resident_pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[_RESIDENT_FIELD])
    except OSError:
        return 0  # it ended meanwhile
    return resident_pages * resource.getpagesize() // 1024


def _real_kb(pid: int) -> int:
    """Of a page that n processes hold, an n-th."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
