"""One event from the broker to SQL, by the real stream; and what is said when the stream does not run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from services.embedded.stack import EmbeddedStack
from services.setup.resolved import environment, resolved
from tests.streams import batches_committed, produce, start


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """Broker and Trino, in a data directory of their own."""
    with EmbeddedStack(tmp_path_factory.mktemp("watch") / "data") as running:
        yield running


def program(stack: EmbeddedStack, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", *words, "--settings", str(stack.settings_path)]
    return subprocess.run(command, env=environment(resolved()), capture_output=True, text=True)


def test_an_event_comes_through_while_the_stream_runs_and_is_missed_when_it_does_not(whole: EmbeddedStack) -> None:
    produce(whole.kafka_bootstrap, 200)
    stream = start(whole, "--trigger-s", "1")
    try:
        while not batches_committed(whole):
            assert stream.poll() is None
        assert program(whole, "trino_catalog.apply").returncode == 0
        seen = program(whole, "services", "canary", "--most-s", "120")
        assert seen.returncode == 0, seen.stderr
        assert 0 < json.loads(seen.stdout)["seconds"] < 120
        watched = program(whole, "services", "ingest_watch", "--pause-s", "5")
        assert watched.returncode == 0, watched.stderr
        wanted = {"behind": 0, "read": 201, "refused": 2, "refused_percent": 1.0, "duplicate": 2}
        assert json.loads(watched.stdout) == wanted
    finally:
        stream.send_signal(signal.SIGTERM)
        stream.wait(timeout=120)
    missed = program(whole, "services", "canary", "--most-s", "3")
    assert missed.returncode == 75
    assert "was not taken in after 3 s" in missed.stderr
    behind = program(whole, "services", "ingest_watch", "--pause-s", "0", "--most-behind", "0")
    assert behind.returncode == 75
    assert "the stream is 1 messages behind" in behind.stderr
