"""The service of live tags on a store and a lake: answers are the batch's at their moment, and never go back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.live import outbox, progress, states
from services.live.topic import Message
from services.profiles import generations, refusals
from services.profiles.addressing import Addressing, Asked
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.tagging.calendar import micros, moment_of
from tests.live_histories import Event
from tests.live_lake import FakeReader
from tests.live_running import BASE, HOUR, PERSONS, Running, assert_folds, running_in, some_events
from tests.profile_lake import WORKSPACE, master_id, phone


@pytest.fixture
def running(tmp_path: Path, key_file: Path) -> Iterator[Running]:
    with running_in(tmp_path, key_file) as made:
        yield made


def test_a_load_waits_and_the_service_sends_readers_there(running: Running) -> None:
    facts = running.world.load()
    assert (facts["waiting"], facts["live"]["checked"]) == (True, PERSONS * 2)
    assert running.world.load()["changed"] is False, "what waits is not prepared twice"
    assert generations.pointer_of(running.world.here.database, WORKSPACE) is None
    running.start().turn(wait_ms=0)
    assert running.seen() == running.wanted()


@pytest.mark.parametrize("seed", range(3))
def test_answers_are_those_of_the_batch_whatever_comes_and_whenever_it_is_killed(running: Running, seed: int) -> None:
    chance = random.Random(seed)
    running.world.load()
    service = running.start()
    service.turn(wait_ms=0)
    for step in range(12):
        fresh = some_events(chance, chance.randrange(6), after=running.now, prefix=f"s{step}-")
        known = [one for one, _, _ in running.world.events]
        again = chance.sample(known, 3)
        chance.shuffle(fresh)
        running.world.send(*fresh, *again, *fresh[:1], at=moment_of(running.now))
        running.now += chance.choice([1_000_000, 60_000_000, 3_600_000_000, 2 * 86_400_000_000])
        if chance.random() < 0.5:
            service = running.start()
        service.turn(wait_ms=0)
        # Clock and events move between the two: the answers hold for the moment that they tell.
        assert running.seen() == running.wanted()


def test_a_step_that_dies_is_done_again_once(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    running.world.load()
    running.start().turn(wait_ms=0)
    before = running.seen()
    running.world.send(*some_events(random.Random(5), 8, after=running.now, prefix="x"), at=moment_of(running.now))
    running.now += 3_600_000_000

    def dies(*_args: object) -> None:
        raise RetryableError("the store went")

    for place_of_death in (states.write, outbox._insert):
        with monkeypatch.context() as patched:
            module = states if place_of_death is states.write else outbox
            patched.setattr(module, place_of_death.__name__, dies)
            with pytest.raises(RetryableError, match="the store went"):
                running.start().turn(wait_ms=0)
        assert running.seen() == before
    running.start().turn(wait_ms=0)
    assert running.seen() == running.wanted()


def test_the_next_publication_takes_over_without_an_answer_that_goes_back(running: Running) -> None:
    running.world.load()
    service, chance = running.start(), random.Random(3)
    service.turn(wait_ms=0)
    for day in range(1, 4):
        fresh = some_events(chance, 10, after=running.now, prefix=f"d{day}-")
        running.world.send(*fresh, at=moment_of(running.now))
        running.now = micros(BASE + timedelta(days=day, hours=1))
        service.turn(wait_ms=0)
        assert running.seen() == running.wanted()
        running.world.here.lake.next()
        running.world.publish(known=len(running.world.events) - 4)  # four came behind the batch's watermark
        assert running.world.load()["waiting"]
        running.world.send(*some_events(chance, 3, after=running.now, prefix=f"n{day}-"), at=moment_of(running.now))
        assert running.seen() == running.wanted(without=frozenset(f"n{day}-{n}" for n in range(3)))
        running.now += 60_000_000
        if day == 2:
            service = running.start()
        service.turn(wait_ms=0)
        pointer = generations.pointer_of(running.world.here.database, WORKSPACE)
        assert pointer is not None
        assert pointer.publication == day + 1
        assert running.seen() == running.wanted()
    generations.sweep(running.world.here.database, grace=-generations.GRACE)
    rows = running.world.here.database.rows(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'live_[0-9]*'"
    )
    assert len(rows) == 1
    assert len(progress.every(running.world.here.database)) == 1


def test_changes_fold_to_the_answers_of_each_publication(running: Running) -> None:
    running.world.load()
    service, chance = running.start(), random.Random(4)
    for day in range(2):
        service.turn(wait_ms=0)
        for step in range(4):
            fresh = some_events(chance, 6, after=running.now, prefix=f"c{day}{step}-")
            running.world.send(*fresh, at=moment_of(running.now))
            running.now += 7_200_000_000
            service.turn(wait_ms=0)
        values, number = running.seen(), day + 1
        assert_folds(running, values, number)
        running.world.here.lake.next()
        running.now = max(running.now, micros(running.world.here.lake.at + HOUR))
        running.world.publish(known=len(running.world.events) - 5)
        running.world.load()
        waits = [one for one in running.sent if one["publication"] == number + 1]
        assert waits == [], "nothing is told of what is not served"
    service.turn(wait_ms=0)
    assert_folds(running, running.seen(), 3)


def test_nothing_is_told_of_sensitive_tags_and_of_who_refuses(running: Running) -> None:
    running.world.here.lake.tags["views"] = {"classes": "minors"}
    running.world.here.lake.next()
    views = next(tag for tag in running.world.catalogue.tags if tag.name == "views")
    object.__setattr__(views, "classes", ("minors",))  # as a definition with this class would have it
    running.world.publish()
    keys = Addressing(load_root_keys(running.world.here.key_file)).keys(Asked("phone", phone(0)))
    running.world.load()
    refusals.refuse(running.world.here.database, keys)
    running.now = micros(running.world.here.lake.at + HOUR)
    service = running.start()
    service.turn(wait_ms=0)
    persons = [
        Event(f"r{person}-{n}", person, moment_of(running.now - 1), "view") for person in range(3) for n in range(5)
    ]
    running.world.send(*persons, at=moment_of(running.now))
    running.now += 1_000_000
    service.turn(wait_ms=0)
    changes = [one for one in running.sent if "tag" in one]
    assert {one["tag"] for one in changes} >= {"hours", "recency"}
    assert "views" not in {one["tag"] for one in changes}
    people = {one["person_id"] for one in changes if one["cause"] == "events"}
    assert len(people) == 2, "of the three to whom something happened one refuses"


def test_whom_the_batch_left_out_is_answered_nothing_live(running: Running) -> None:
    world = running.world
    world.left_out = frozenset({0})
    world.here.lake.next()
    world.publish()
    assert world.load()["live"]["checked"] == (PERSONS - 1) * 2, "who is left out is not held to the batch"
    running.now = micros(world.here.lake.at + HOUR)
    service = running.start()
    service.turn(wait_ms=0)
    at = moment_of(running.now - 1)
    world.send(*[Event(f"l{n}", n % 2, at, "view") for n in range(10)], at=moment_of(running.now))
    running.now += 1_000_000
    service.turn(wait_ms=0)
    seen, wanted = running.seen(), running.wanted()
    otherwise = {tag.name: tag.rule.otherwise for tag in world.catalogue.tags}
    assert {name: values[0] for name, values in seen.items()} == otherwise
    assert {name: values[1:] for name, values in seen.items()} == {name: values[1:] for name, values in wanted.items()}
    assert wanted["views"][0] == "many", "it would have been answered"
    told = {one["person_id"] for one in running.sent if "tag" in one}
    assert (master_id(0) in told, master_id(1) in told) == (False, True)
    assert 'outcome="left_out"} 5\n' in running.metrics.text()


def test_what_happens_while_the_topic_is_waited_for_counts_at_once(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.world.load()
    service, read = running.start(), FakeReader.read
    service.turn(wait_ms=0)

    def slowly(reader: FakeReader, *, wait_ms: int, most: int) -> list[Message]:
        running.now += 100_000
        return read(reader, wait_ms=wait_ms, most=most)

    monkeypatch.setattr(FakeReader, "read", slowly)
    at = moment_of(running.now + 50_000)
    running.world.send(*[Event(f"w{n}", 1, at, "view") for n in range(5)], at=at)
    running.sent.clear()
    service.turn(wait_ms=0)
    assert {one["cause"] for one in running.sent if one["person_id"] == master_id(1)} == {"events"}


def test_of_two_services_the_one_that_was_overtaken_writes_nothing(running: Running) -> None:
    running.world.load()
    first = running.start()
    first.turn(wait_ms=0)
    second = running.start()
    running.now += 2_000_000
    second.turn(wait_ms=0)
    running.now += 2_000_000
    with pytest.raises(RetryableError, match="moved on by another process"):
        first.turn(wait_ms=0)


def test_answers_that_differ_from_the_batch_are_never_served(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = {tag.name: [None] * PERSONS for tag in running.world.catalogue.tags}
    monkeypatch.setattr("tests.live_lake.batch_answers", lambda *_given, **_named: nothing)
    running.world.here.lake.next()
    running.world.publish()
    with pytest.raises(TerminalError, match=r"differ from the batch's: .*ever"):
        running.world.load()
    assert progress.every(running.world.here.database) == []


def test_messages_that_the_topic_has_lost_are_said_and_what_is_served_goes_on(running: Running) -> None:
    running.world.load()
    service = running.start()
    service.turn(wait_ms=0)
    running.world.here.lake.next()
    running.world.publish(known=30)  # the watermark of a batch that read the topic long ago
    running.world.load()
    running.world.topic.first = {number: len(held) for number, held in running.world.topic.messages.items()}
    running.now += 2_000_000
    service.turn(wait_ms=0)
    pointer = generations.pointer_of(running.world.here.database, WORKSPACE)
    assert pointer is not None
    assert pointer.publication == 1
    running.world.topic.first = {number: first + 1 for number, first in running.world.topic.first.items()}
    with pytest.raises(TerminalError, match="no longer holds messages of partitions"):
        running.start().turn(wait_ms=0)


def test_what_becomes_of_messages_is_counted(running: Running) -> None:
    running.world.load()
    service = running.start()
    service.turn(wait_ms=0)
    late = Event("late", 1, BASE - timedelta(days=8), "view")
    fresh = Event("fresh", 1, moment_of(running.now - 1), "view")
    running.world.send(late, fresh, fresh, at=moment_of(running.now))
    running.world.topic.send(b"{broken grocery", partition=0, at=BASE)
    running.now += 1_000_000
    service.turn(wait_ms=0)
    text = running.metrics.text()
    for outcome in ("counted", "duplicate", "late"):
        assert f'outcome="{outcome}"}} 1\n' in text, text
    assert 'databank_live_visible_seconds_bucket{workspace="grocery",le="2.0"} 1' in text
