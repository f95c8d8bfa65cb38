"""Progress of downloads: bytes and files that are there, of those that are wanted."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

_MB = 1_000_000
_TERMINAL_PERIOD_S = 0.5
_PLAIN_PERIOD_S = 10.0


def say(text: str, stream: TextIO | None = None) -> None:
    """One line of what set-up does; on standard error, so that a verb's answer stays clean."""
    out = stream or sys.stderr
    out.write(f"setup: {text}\n")
    out.flush()


class Progress:
    """Watches files grow. On a terminal one line is rewritten; elsewhere a line is written every ten seconds."""

    def __init__(self, what: str, wanted: Mapping[Path, int], stream: TextIO | None = None) -> None:
        self._what = what
        self._wanted = wanted
        self._stream = stream or sys.stderr
        self._is_terminal = self._stream.isatty()

    def line(self) -> str:
        """Files and megabytes there, of all."""
        present = {path: _bytes_there(path) for path in self._wanted}
        complete = sum(1 for path, size in self._wanted.items() if present[path] >= size)
        got, total = sum(present.values()) / _MB, sum(self._wanted.values()) / _MB
        return f"{self._what}: {complete} of {len(self._wanted)} files, {got:,.0f} of {total:,.0f} MB"

    def watch(self, done: threading.Event) -> None:
        """Report until `done` is set, and once more then."""
        period_s = _TERMINAL_PERIOD_S if self._is_terminal else _PLAIN_PERIOD_S
        began = time.monotonic()
        while not done.wait(period_s):
            self._report(began)
        self._report(began, last=True)

    def _report(self, began: float, *, last: bool = False) -> None:
        text = f"{self.line()}, {time.monotonic() - began:.0f} s"
        if self._is_terminal:
            self._stream.write(f"\r\x1b[Ksetup: {text}" + ("\n" if last else ""))
            self._stream.flush()
        else:
            say(text, self._stream)


def _bytes_there(path: Path) -> int:
    """Bytes of the file, or of the longest of its unfinished downloads (`NAME.part`, `NAME.RANDOM.tmp`)."""
    sizes = []
    for candidate in (path, *path.parent.glob(f"{path.name}*")):
        if candidate.suffix in {path.suffix, ".part", ".tmp"}:
            try:
                sizes.append(candidate.stat().st_size)
            except OSError:
                continue  # renamed between the listing and the look
    return max(sizes, default=0)
