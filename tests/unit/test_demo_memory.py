"""The demo's memory: what processes share counts once."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.demo.memory import MemoryWatch, process_tree

SHARED_MB, CHILDREN = 64, 4
# A process with children that have touched the same pages; it ends with its standard input.
FAMILY = f"""
import mmap, os, signal, sys
pages = mmap.mmap(-1, {SHARED_MB} << 20)
for start in range(0, len(pages), mmap.PAGESIZE):
    pages[start] = 1
children = []
for _ in range({CHILDREN}):
    child = os.fork()
    if child == 0:
        sum(pages[start] for start in range(0, len(pages), mmap.PAGESIZE))
        os.write(1, b"touched\\n")
        signal.pause()
    children.append(child)
sys.stdin.read()
for child in children:
    os.kill(child, signal.SIGKILL)
"""


@pytest.fixture
def family() -> Iterator[set[int]]:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", FAMILY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        for _ in range(CHILDREN):
            assert process.stdout.readline() == b"touched\n"
        yield process_tree(process.pid)
        process.communicate()


def test_pages_that_processes_share_count_once(family: set[int]) -> None:
    assert len(family) == 1 + CHILDREN
    watch = MemoryWatch()
    watch.sample(family)
    assert SHARED_MB <= watch.peak_mb < SHARED_MB * 2


def test_the_peak_stays_when_processes_go() -> None:
    watch = MemoryWatch()
    watch.sample({os.getpid()})
    before = watch.peak_mb
    assert before > 0
    watch.sample(set())
    assert watch.peak_mb == before
