"""The sites and their collector: reads live events, turns every identifier into a token, sends them to Kafka.

Nothing clear leaves this process: an identifier that is refused is dropped from the message, and its type and reason
are put into `refused` instead. What is no JSON object is sent as it is, for ingest to quarantine; the demo's broken
lines hold no identifier.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from services.demo.live_messages import Collector
from services.demo.live_sending import Sender
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import INTERRUPTED, TerminalError, ended
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tokens import Tokeniser
from spark_jobs.settings import Settings, load

_CHECK_EVERY = 200  # messages between two looks at clock, stop and progress, at most; fewer at a low rate

Progress = Callable[[int], None]  # messages that the broker has acknowledged


@dataclass(frozen=True, slots=True)
class Produced:
    """What was done: `sent` messages, all acknowledged by the broker; `unparsed` of them were sent as they are."""

    sent: int
    unparsed: int
    refused_identifiers: dict[str, int] = field(default_factory=dict)  # by reason
    seconds: float = 0.0
    stopped: bool = False


def produce(
    path: Path,
    settings: Settings,
    *,
    rate_per_s: float | None = None,
    stop: threading.Event | None = None,
    progress: Progress | None = None,
) -> Produced:
    """Send every line of `path` in its order; ends when the broker has acknowledged all, or after `stop` was set.

    TerminalError where the file cannot be read, RetryableError where the broker does not answer or refuses.
    """
    _require_readable(path)
    began = time.monotonic()
    collector = Collector(Tokeniser(load_root_keys(settings.root_key_file)))
    sent = 0
    is_stopped = False
    check_every = _CHECK_EVERY if rate_per_s is None else max(1, min(_CHECK_EVERY, int(rate_per_s / 10)))
    with Sender(settings.kafka_bootstrap_servers, EVENTS_TOPIC, settings.kafka_account) as sender:
        for line in _lines(path):
            message = collector.message(line)
            sender.send(message.value, message.key)
            sent += 1
            if sent % check_every == 0:
                is_stopped = _paced(sent, began, rate_per_s, stop)
                if progress:
                    progress(sender.acknowledged)
            if is_stopped:
                break
        sender.finish()
        if progress:
            progress(sender.acknowledged)
    return Produced(sent, collector.unparsed, dict(collector.refused), round(time.monotonic() - began, 3), is_stopped)


def _require_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise TerminalError(
            f"live events {path} cannot be read: {error.strerror}; export them with `python -m services.demo.export`"
        ) from error


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            yield line.rstrip(b"\r\n")


def _paced(sent: int, began: float, rate_per_s: float | None, stop: threading.Event | None) -> bool:
    """Wait until the rate allows the next message; true when it is time to stop."""
    ahead_s = sent / rate_per_s - (time.monotonic() - began) if rate_per_s else 0.0
    if stop is None:
        time.sleep(max(ahead_s, 0.0))
        return False
    return stop.wait(ahead_s) if ahead_s > 0 else stop.is_set()


def _reporting() -> Progress:
    """Tell on stderr, once a second, how far it is."""
    told_at = time.monotonic()

    def report(acknowledged: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= 1:
            told_at = time.monotonic()
            sys.stderr.write(f"live: {acknowledged:,} messages acknowledged\n")
            sys.stderr.flush()

    return report


def main(argv: list[str] | None = None) -> int:
    """`python -m services.demo.live --input FILE --settings FILE`; prints what was done as JSON."""
    parser = argparse.ArgumentParser(prog="python -m services.demo.live", description=__doc__)
    parser.add_argument("--input", type=Path, required=True, metavar="FILE", help="events, one JSON object a line")
    parser.add_argument("--settings", metavar="FILE", help="default: what DATABANK_SETTINGS names")
    parser.add_argument("--rate", type=float, metavar="N", help="messages a second; default: as fast as possible")
    args = parser.parse_args(argv)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return ended("live", lambda: _produce_and_print(args, stop))


def _produce_and_print(args: argparse.Namespace, stop: threading.Event) -> int:
    if args.rate is not None and args.rate <= 0:
        raise TerminalError(f"--rate is {args.rate}, wanted more than 0")
    produced = produce(args.input, load(args.settings), rate_per_s=args.rate, stop=stop, progress=_reporting())
    sys.stdout.write(json.dumps(dataclasses.asdict(produced), indent=2, sort_keys=True) + "\n")
    return INTERRUPTED if produced.stopped else 0


if __name__ == "__main__":
    sys.exit(main())
