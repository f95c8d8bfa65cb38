"""Campaign: the stream is killed many times at random moments, with the last commit marker deleted now and then."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from services.embedded.stack import EmbeddedStack
from spark_jobs.contracts.topics import EVENTS_TOPIC
from tests.streams import assert_as_undisturbed, batches_committed, kill_after, produce, start

pytestmark = pytest.mark.campaign

MESSAGES = 6_000
BATCH = 200
KILLS = 20


def test_twenty_kills_at_random_moments_lose_and_double_nothing(spark, tmp_path: Path) -> None:
    moments = random.Random(7)
    with EmbeddedStack(tmp_path / "stack", with_trino=False) as stack:
        produce(stack.kafka_bootstrap, MESSAGES)
        for kill in range(KILLS):
            stream = start(stack, "--trigger-s", "1", "--max-messages", str(BATCH))
            done = batches_committed(stack)
            kill_after(stream, stack, batches=done + (kill + 1) % 2, delay_s=moments.uniform(0.0, 12.0))
            if kill % 5 == 4:
                forget_last_commit(stack)
        assert batches_committed(stack) < MESSAGES / BATCH, "all was taken in before the last kill"
        assert start(stack, "--drain").wait(timeout=600) == 0
        assert_as_undisturbed(stack, spark, tmp_path / "undisturbed", messages=MESSAGES)


def forget_last_commit(stack: EmbeddedStack) -> None:
    """As after a power loss between the tables' commit and the checkpoint's."""
    commits = Path(stack.layout.lake) / "checkpoints" / "ingest" / EVENTS_TOPIC.name / "commits"
    last = max((path for path in commits.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))
    last.unlink()
    last.with_name(f".{last.name}.crc").unlink(missing_ok=True)
