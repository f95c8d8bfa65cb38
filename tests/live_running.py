"""A service of live tags under test: its world, a clock that tests move, and what was sent."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from services.live import outbox
from services.live.metrics import Metrics
from services.live.service import Service
from services.profiles.access import READ
from spark_jobs.tagging.calendar import micros, moment_of
from tests.live_histories import Event, batch_answers, live_catalogue
from tests.live_lake import LiveWorld
from tests.profile_lake import FIRST, WORKSPACE, master_id, phone
from tests.profile_service import bearer, place

PERSONS = 6
BASE = FIRST + timedelta(days=1)
HOUR = timedelta(hours=1)


@dataclass
class Running:
    """A world, its service, a clock that tests move, and what was sent to the topic of live tags."""

    world: LiveWorld
    client: TestClient
    now: int = micros(BASE + HOUR)
    sent: list[dict[str, Any]] = field(default_factory=list)
    metrics: Metrics = field(default_factory=lambda: Metrics(WORKSPACE))
    as_of: str = ""

    def start(self) -> Service:
        """A service as if the one before it had been killed."""
        return Service(
            self.world.here.database,
            WORKSPACE,
            self.world.topic.reader,
            metrics=self.metrics,
            sender=Sent(self),
            clock=lambda: self.now,
        )

    def seen(self) -> dict[str, list[str]]:
        """Tag to the value of each person, by the API; answers must not go back in time."""
        names = [tag.name for tag in self.world.catalogue.tags]
        identifiers = [{"type": "phone", "value": phone(person)} for person in range(self.world.persons)]
        body = self.client.post("/v1/profiles:batch", json={"identifiers": identifiers, "tags": names}).json()
        values: dict[str, list[str]] = {name: [] for name in names}
        for one in body["profiles"]:
            for tag in one["tags"]:
                values[tag["tag"]].append("unknown" if tag["state"] == "unknown" else tag["value"])
        moments = {tag["live_as_of"] for one in body["profiles"] for tag in one["tags"]}
        assert len(moments) == 1
        (moment,) = moments
        assert moment >= self.as_of, "an answer went back"
        self.as_of = moment
        return values

    def wanted(self, *, without: frozenset[str] = frozenset()) -> dict[str, list[str]]:
        """The same by the batch, at the moment of the last answer, of all events that came."""
        events = [one for one, _, _ in self.world.events if one.event_id not in without]
        base = moment_of(micros(datetime.fromisoformat(self.as_of)))
        world = self.world
        found = batch_answers(world.catalogue, events, world.registered, persons=world.persons, base=base)
        otherwise = {tag.name: tag.rule.otherwise for tag in self.world.catalogue.tags}
        return {name: [value or otherwise[name] for value in values] for name, values in found.items()}


@contextmanager
def running_in(folder: Path, key_file: Path) -> Iterator[Running]:
    """Persons with a history of which the batch has published; nothing is loaded yet."""
    with place(folder, key_file) as here:
        registered = {person: BASE - timedelta(days=100 * person + 1) for person in range(PERSONS - 1)}
        world = LiveWorld(here, live_catalogue(folder / "catalogue"), PERSONS, registered)
        history = some_events(random.Random(0), 30, after=micros(BASE), prefix="h")
        old = [Event(f"o{n}", n % PERSONS, BASE - timedelta(days=10 + 3 * n), "cart") for n in range(12)]
        world.send(*history, *old, at=BASE)
        world.publish()
        with here.client() as client:
            client.headers.update(bearer(here.key(READ)))
            yield Running(world, client)


class Sent:
    """Takes messages out of the outbox."""

    def __init__(self, running: Running) -> None:
        self._running = running

    def send(self) -> int:
        database = self._running.world.here.database
        waiting = outbox.next_messages(database, WORKSPACE, most=1000)
        self._running.sent += [json.loads(one.message) for one in waiting]
        if waiting:
            outbox.sent(database, WORKSPACE, waiting[-1].seq)
        return len(waiting)

    def close(self) -> None:
        pass


def some_events(chance: random.Random, count: int, *, after: int, prefix: str) -> list[Event]:
    """Events around a moment: some of days before it, some dated a little ahead."""
    return [
        Event(
            f"{prefix}{number}",
            chance.randrange(PERSONS),
            moment_of(after) + timedelta(minutes=chance.randrange(-5 * 24 * 60, 30)),
            chance.choice(["view", "cart", "buy"]),
            chance.choice(["pc", "mobile"]),
        )
        for number in range(count)
    ]


def assert_folds(running: Running, values: dict[str, list[str]], number: int) -> None:
    """Changes of a publication, in order, on top of its batch, give what readers see."""
    events = [one for one in running.sent if one["publication"] == number]
    notes = [one for one in events if "tag" not in one]
    assert len(notes) == outbox.PARTITIONS
    assert events[: len(notes)] == notes, "the note comes first"
    state: dict[tuple[str, str], str | None] = {}
    for one in events[len(notes) :]:
        key = one["tag"], one["person_id"]
        if key in state:
            assert state[key] == one["old_value"]
        state[key] = one["new_value"]
    otherwise = {tag.name: tag.rule.otherwise for tag in running.world.catalogue.tags}
    persons = {one: place for place, one in enumerate(map(master_id, range(running.world.persons)))}
    assert state, "something was told"
    for (tag, person), value in state.items():
        assert values[tag][persons[person]] == (value or otherwise[tag])
