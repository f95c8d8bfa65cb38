"""What the API measures of itself, for Prometheus: requests by route and status, and how long they took.

Each process counts in a file of its own; whichever of them is asked adds up the files of all.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

ROUTES = ("profile", "batch", "other")
STATUSES = (200, 400, 401, 403, 404, 405, 413, 429, 500, 503)
BOUNDS_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0)
_WIDTH = len(STATUSES) + len(BOUNDS_S) + 2  # statuses, buckets with the one above all, the sum of seconds
_SUFFIX = ".counters"
_PREFIX = "databank_profiles"


class Counters:
    """The counters of one process, in a file of the folder that all processes of the service share."""

    def __init__(self, folder: Path) -> None:
        """Begin at zero, in a file named by the process."""
        self._folder = folder
        path = folder / f"{os.getpid()}{_SUFFIX}"
        self._own = np.memmap(path, dtype=np.float64, mode="w+", shape=(len(ROUTES), _WIDTH))

    def count(self, route: str, status: int, seconds: float) -> None:
        """One request; a status that is not known counts as 500."""
        row = self._own[ROUTES.index(route)]
        row[STATUSES.index(status) if status in STATUSES else STATUSES.index(500)] += 1
        row[len(STATUSES) + bisect_left(BOUNDS_S, seconds)] += 1
        row[-1] += seconds

    def lines(self) -> Iterator[str]:
        """The text format of Prometheus."""
        shape = (len(ROUTES), _WIDTH)
        files = sorted(self._folder.glob(f"*{_SUFFIX}"))
        every = sum((np.fromfile(path, dtype=np.float64).reshape(shape) for path in files), np.zeros(shape))
        yield from _head("requests_total", "counter", "Requests by route and status.")
        for route, row in zip(ROUTES, every, strict=True):
            for status, number in zip(STATUSES, row, strict=False):
                if number:
                    yield f'{_PREFIX}_requests_total{{route="{route}",status="{status}"}} {int(number)}'
        yield from _head("request_seconds", "histogram", "From the first byte of a request to the last of its answer.")
        for route, row in zip(ROUTES, every, strict=True):
            yield from _histogram(route, row[len(STATUSES) : -1], float(row[-1]))


def gauges(name: str, meaning: str, values: Iterable[tuple[str, float]]) -> Iterator[str]:
    """One gauge by workspace, in the same format."""
    yield from _head(name, "gauge", meaning)
    for workspace, value in values:
        escaped = workspace.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        yield f'{_PREFIX}_{name}{{workspace="{escaped}"}} {value:g}'


def _histogram(route: str, buckets: np.ndarray, seconds: float) -> Iterator[str]:
    name = f"{_PREFIX}_request_seconds"
    below = np.cumsum(buckets)
    for bound, number in zip((*map(str, BOUNDS_S), "+Inf"), below, strict=True):
        yield f'{name}_bucket{{route="{route}",le="{bound}"}} {int(number)}'
    yield f'{name}_sum{{route="{route}"}} {seconds:.6f}'
    yield f'{name}_count{{route="{route}"}} {int(below[-1])}'


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}_{name} {meaning}"
    yield f"# TYPE {_PREFIX}_{name} {kind}"
