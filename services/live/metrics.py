"""What the service of live tags measures of itself, as Prometheus reads it; nothing of any person."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from spark_jobs.errors import TerminalError

BOUNDS_S = (0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 600.0, 86_400.0)
_PREFIX = "databank_live"
_LOOPBACK = ("127.0.0.1", "localhost")


class Metrics:
    """Counters of one process; written by its loop, read by whoever asks."""

    def __init__(self, workspace: str) -> None:
        """Begin at zero."""
        self._workspace = workspace
        self._guard = threading.Lock()
        self._outcomes: Counter[str] = Counter()
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._seconds = 0.0
        self._numbers: dict[str, float] = {}

    def count(self, outcomes: Mapping[str, int], delays_s: Iterable[float]) -> None:
        """What a step did: messages by what became of them; of counted events, seconds from the event to visible."""
        with self._guard:
            self._outcomes.update(outcomes)
            for delay in delays_s:
                self._buckets[bisect_left(BOUNDS_S, delay)] += 1
                self._seconds += delay

    def tell(self, **numbers: float) -> None:
        """Numbers of `_MEANINGS` as they are now."""
        with self._guard:
            self._numbers.update(numbers)

    def text(self) -> str:
        """The text format of Prometheus."""
        with self._guard:
            return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        label = f'workspace="{self._workspace}"'
        yield from _head("messages_total", "counter", "Messages of the events topic by what became of them.")
        for outcome, number in sorted(self._outcomes.items()):
            yield f'{_PREFIX}_messages_total{{{label},outcome="{outcome}"}} {number}'
        name = f"{_PREFIX}_visible_seconds"
        yield from _head("visible_seconds", "histogram", "From when an event happened to when answers counted it.")
        below = 0
        for bound, number in zip((*map(str, BOUNDS_S), "+Inf"), self._buckets, strict=True):
            below += number
            yield f'{name}_bucket{{{label},le="{bound}"}} {below}'
        yield f"{name}_sum{{{label}}} {self._seconds:.3f}"
        yield f"{name}_count{{{label}}} {below}"
        for told, value in sorted(self._numbers.items()):
            yield from _head(told, "gauge", _MEANINGS[told])
            yield f"{_PREFIX}_{told}{{{label}}} {value:g}"


_MEANINGS = {
    "lag_messages": "Messages of the events topic that are not counted yet.",
    "age_seconds": "Since the moment that live tags hold for.",
    "sent_messages": "Messages that this process has sent to the topic of live tags.",
    "waiting_generations": "Generations that are prepared and not served yet.",
}


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP {_PREFIX}_{name} {meaning}"
    yield f"# TYPE {_PREFIX}_{name} {kind}"


def serve(metrics: Metrics, address: str) -> ThreadingHTTPServer:
    """Answer `GET /metrics` from a thread of its own; TerminalError for an address that is not of this machine."""
    host, _, port = address.rpartition(":")
    if host not in _LOOPBACK or not port.isdecimal():
        raise TerminalError(f"--metrics is {address!r}, wanted host:port of loopback, such as 127.0.0.1:8361")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = metrics.text().encode() if self.path == "/metrics" else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class named it
            del format, args

    server = ThreadingHTTPServer((host, int(port)), Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server
