"""A load and the service of live tags: who sends readers there, and what ends where nobody can."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from services.live import progress
from services.live.running import hand_over
from services.profiles import generations
from services.profiles.database import Row, Value
from spark_jobs.errors import TerminalError
from spark_jobs.settings import load
from tests.live_running import Running, running_in
from tests.profile_lake import WORKSPACE
from tests.profile_settings import write_settings


@pytest.fixture
def running(tmp_path: Path, key_file: Path) -> Iterator[Running]:
    with running_in(tmp_path, key_file) as made:
        yield made


def test_a_load_hands_over_itself_where_no_service_runs_and_ends_where_that_can_never_be(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, database = running.world, running.world.here.database
    settings = load(write_settings(world.here.folder, world.here.key_file))
    monkeypatch.setattr("services.live.running.EventsTopic", lambda _settings: world.topic.reader())
    world.load()
    first = world.topic.first
    world.topic.first = {number: len(held) for number, held in world.topic.messages.items()}
    with pytest.raises(TerminalError, match="no longer holds messages of partitions"):
        hand_over(settings, database, WORKSPACE, most_s=30)
    assert generations.pointer_of(database, WORKSPACE) is None
    world.topic.first = first
    assert hand_over(settings, database, WORKSPACE, most_s=30)
    assert running.seen() == running.wanted()
    assert hand_over(settings, database, WORKSPACE, most_s=0), "nothing waits any more"


def test_what_is_served_meanwhile_is_given_up_no_more(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.world.load()
    database = running.world.here.database
    waiting, rows = progress.waiting_of(database, WORKSPACE), database.rows
    assert waiting is not None

    def and_then_it_is_served(sql: str, values: Sequence[Value] = ()) -> list[Row]:
        found = rows(sql, values)
        database.run("UPDATE live_progress SET state = 'followed'")
        return found

    with monkeypatch.context() as patched:
        patched.setattr(database, "rows", and_then_it_is_served)
        progress.give_up_waiting(database, WORKSPACE)
    assert progress.progress_of(database, waiting.number) is not None
