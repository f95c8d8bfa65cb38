"""Live tags on a real broker: an event is answered within seconds, each change is told once, whatever is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from starlette.testclient import TestClient

from services.embedded.ports import free_ports
from services.embedded.stack import EmbeddedStack
from services.live import outbox
from services.live.metrics import Metrics
from services.live.progress import Progress
from services.live.sending import Sender
from services.live.service import Service
from services.live.topic import EventsTopic
from services.profiles import generations
from services.profiles.access import READ
from spark_jobs.contracts.topics import EVENTS_TOPIC, LIVE_TAGS_TOPIC
from spark_jobs.settings import load
from tests.live_histories import Event, batch_answers, live_catalogue
from tests.live_lake import LiveWorld, message_of, token
from tests.postgres import running_postgres
from tests.profile_lake import WORKSPACE, phone
from tests.profile_service import Place, bearer, place
from tests.profile_settings import write_settings

PERSONS = 8
WITHIN_S = 5.0


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("live") / "data", with_trino=False) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def here(request: pytest.FixtureRequest, tmp_path: Path, key_file: Path) -> Iterator[Place]:
    if request.param == "sqlite":
        with place(tmp_path, key_file) as made:
            yield made
        return
    with running_postgres() as url, place(tmp_path, key_file, url=url) as made:
        yield made


def settings_of(here: Place, stack: EmbeddedStack, url: str = "") -> Path:
    """Settings of the place with the stack's broker and live tags."""
    path = write_settings(here.folder, here.key_file, url=url)
    text = path.read_text().replace('127.0.0.1:9"\n[ledger]', f'{stack.kafka_bootstrap}"\n[ledger]', 1)
    path.write_text(f'{text}[live]\nworkspaces = ["{WORKSPACE}"]\n')
    assert load(path).kafka_bootstrap_servers == stack.kafka_bootstrap
    return path


def world_of(here: Place, folder: Path) -> LiveWorld:
    """Persons with a history, published as of the midnight before the last one (UTC)."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    registered = {person: midnight - timedelta(days=90) for person in range(PERSONS)}
    world = LiveWorld(here, live_catalogue(folder / "catalogue"), PERSONS, registered)
    while here.lake.at < midnight:
        here.lake.next()
    # Of a broker that other tests use as well: none of these lies in the topic.
    history = [Event(f"h{n}", n % PERSONS, midnight - timedelta(hours=3 * n + 1), "view") for n in range(20)]
    world.events += [(one, n % 4, -1) for n, one in enumerate(history)]
    world.publish()
    return world


def produce(stack: EmbeddedStack, here: Place, *events: Event) -> None:
    """Send events as a collector does, and wait until they are kept."""
    producer = KafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all")
    for one in events:
        person_token = token(here.key_file, one.person)
        key = f"{WORKSPACE}/{person_token.hex()}".encode()
        producer.send(EVENTS_TOPIC.name, key=key, value=message_of(one, person_token))
    producer.flush()
    producer.close()


def answers(client: TestClient, world: LiveWorld) -> tuple[dict[str, list[str]], set[str]]:
    """Tag to each person's value, and the moments that the answers hold for."""
    names = [tag.name for tag in world.catalogue.tags]
    identifiers = [{"type": "phone", "value": phone(person)} for person in range(PERSONS)]
    body = client.post("/v1/profiles:batch", json={"identifiers": identifiers, "tags": names}).json()
    found: dict[str, list[str]] = {name: [] for name in names}
    for one in body["profiles"]:
        for tag in one["tags"]:
            found[tag["tag"]].append("unknown" if tag["state"] == "unknown" else tag["value"])
    return found, {tag["live_as_of"] for one in body["profiles"] for tag in one["tags"]}


def by_batch(world: LiveWorld, events: list[Event], as_of: str) -> dict[str, list[str]]:
    otherwise = {tag.name: tag.rule.otherwise for tag in world.catalogue.tags}
    base = datetime.fromisoformat(as_of)
    found = batch_answers(world.catalogue, events, world.registered, persons=PERSONS, base=base)
    return {name: [value or otherwise[name] for value in values] for name, values in found.items()}


def places() -> list[TopicPartition]:
    return [TopicPartition(LIVE_TAGS_TOPIC.name, number) for number in range(LIVE_TAGS_TOPIC.partitions)]


def reader(stack: EmbeddedStack) -> KafkaConsumer:
    """One that sees whole transactions."""
    options: dict[str, Any] = {"isolation_level": "read_committed", "consumer_timeout_ms": 3000}
    consumer = KafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, enable_auto_commit=False, **options)
    consumer.assign(places())
    return consumer


def told(stack: EmbeddedStack, since: dict[TopicPartition, int]) -> list[dict[str, Any]]:
    """What the topic was told since its partitions ended there."""
    consumer = reader(stack)
    for place_of, offset in since.items():
        consumer.seek(place_of, offset)
    found = [json.loads(one.value) for one in consumer]
    consumer.close()
    return found


@pytest.fixture
def since(stack: EmbeddedStack) -> dict[TopicPartition, int]:
    """Where the topic of live tags ends before the test."""
    consumer = reader(stack)
    ends: dict[TopicPartition, int] = consumer.end_offsets(places())
    consumer.close()
    return ends


def test_an_event_is_answered_and_told_within_seconds_and_as_the_batch_does(
    stack: EmbeddedStack, here: Place, tmp_path: Path, since: dict[TopicPartition, int]
) -> None:
    world = world_of(here, tmp_path)
    settings = load(settings_of(here, stack))
    world.load()
    sender = Sender(here.database, settings, WORKSPACE)
    open_source = partial(EventsTopic, settings)
    service = Service(here.database, WORKSPACE, open_source, metrics=Metrics(WORKSPACE), sender=sender)
    until = time.monotonic() + 60
    while generations.pointer_of(here.database, WORKSPACE) is None:
        assert time.monotonic() < until, "what waits is never served"
        service.turn()
    with here.client() as client:
        client.headers.update(bearer(here.key(READ)))
        events = [one for one, _, _ in world.events]
        run = here.folder.name  # the topic holds events of other runs of this test as well
        for step in range(3):
            now = datetime.now(UTC)
            fresh = [Event(f"{run}-{step}-{n}", n % PERSONS, now, ["view", "cart"][n % 2]) for n in range(40)]
            produce(stack, here, *fresh, *fresh[:5])
            began, counted = time.monotonic(), 0
            while counted < 45:
                counted += service.turn()
                assert time.monotonic() - began < WITHIN_S
            events += fresh
            service.turn()
            found, moments = answers(client, world)
            (as_of,) = moments
            assert found == by_batch(world, events, as_of)
    service.close()
    said = told(stack, since)
    assert sum("tag" not in one for one in said) == LIVE_TAGS_TOPIC.partitions
    final: dict[tuple[str, str], str | None] = {}
    for one in sorted((one for one in said if "tag" in one), key=lambda one: str(one["live_as_of"])):
        key = one["tag"], one["person_id"]
        assert final.get(key, one["old_value"]) == one["old_value"], "each change follows the one before it, once"
        final[key] = one["new_value"]
    assert final


def test_a_sender_that_dies_between_topic_and_store_sends_nothing_twice(
    stack: EmbeddedStack, tmp_path: Path, key_file: Path, since: dict[TopicPartition, int], *, monkeypatch
) -> None:
    with place(tmp_path, key_file) as here:
        settings = load(settings_of(here, stack))
        pointer = generations.Pointer(WORKSPACE, 1, 2, 3, "s", "p", "b", "l", live_no=977)
        of = Progress(977, WORKSPACE, "followed", 1, 2, pointer, 0, 0)
        changes = [outbox.Change("t", "v", f"p{number}", None, str(number), "events") for number in range(50)]
        with here.database.transaction():
            outbox.add(here.database, of, changes, base=0)
        sender = Sender(here.database, settings, WORKSPACE)

        def dies(*_given: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(outbox, "sent", dies)
            with pytest.raises(KeyboardInterrupt):
                sender.send()
        assert len(outbox.next_messages(here.database, WORKSPACE, most=100)) == 50
        again = Sender(here.database, settings, WORKSPACE)
        assert again.send() == 0
        sender.close()
        again.close()
    assert sorted(one["person_id"] for one in told(stack, since)) == sorted(one.person_id for one in changes)


@contextmanager
def process(settings: Path, metrics_port: int) -> Iterator[subprocess.Popen[bytes]]:
    """The service as an operator starts it."""
    command = [
        sys.executable,
        "-m",
        "services",
        "profiles",
        "live",
        "--workspace",
        WORKSPACE,
        "--settings",
        str(settings),
    ]
    with subprocess.Popen([*command, "--metrics", f"127.0.0.1:{metrics_port}"]) as started:
        try:
            yield started
        finally:
            started.kill()


def test_the_program_follows_ends_by_a_signal_and_takes_the_next_publication(
    stack: EmbeddedStack, tmp_path: Path, key_file: Path
) -> None:
    with place(tmp_path, key_file) as here:
        world, (port,) = world_of(here, tmp_path), free_ports(1)
        settings = settings_of(here, stack)
        world.load()
        with process(settings, port) as first:
            _until(lambda: generations.pointer_of(here.database, WORKSPACE) is not None)
            text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
            assert "databank_live_visible_seconds_count" in text
            first.kill()
        here.lake.next()
        world.publish()
        world.load()
        with process(settings, port) as second:
            _until(lambda: _publication(here) == here.lake.number)
            second.send_signal(signal.SIGTERM)
            assert second.wait(30) == 0


def _publication(here: Place) -> int:
    pointer = generations.pointer_of(here.database, WORKSPACE)
    return 0 if pointer is None else pointer.publication


def _until(holds: Any) -> None:  # noqa: ANN401 - a question without arguments
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)
