"""Tags in their topics, on a real broker: each message once, whatever dies or comes late; changes fold to the state."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from pyspark.sql import SparkSession

from services.embedded.stack import EmbeddedStack
from spark_jobs.contracts.core import ORDERS
from spark_jobs.contracts.topics import TAG_CHANGES_TOPIC, TAG_STATE_TOPIC
from spark_jobs.exports import delivery_job
from spark_jobs.sending import COLUMNS, Delivery, sender
from spark_jobs.settings import ProfileSettings, Settings, load
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import job as tags_job
from tests.refusal_notes import write_notes
from tests.spark.test_tag_job import state
from tests.tag_histories import Life, Order, definition, local, write_catalogue
from tests.tag_tables import add, order_row, settings_of, token, write_lives

SINCE = local("2017-02-01T00:00")
STATE, CHANGES = TAG_STATE_TOPIC.name, TAG_CHANGES_TOPIC.name


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("delivery") / "data", with_trino=False) as running:
        yield running


def held(stack: EmbeddedStack, topic: str, *, partition: int | None = None) -> list[Any]:
    """Messages that a reader of whole transactions sees, in the order of each partition."""
    options: dict[str, Any] = {"isolation_level": "read_committed", "consumer_timeout_ms": 3000}
    consumer = KafkaConsumer(bootstrap_servers=stack.kafka_bootstrap, enable_auto_commit=False, **options)
    numbers = [partition] if partition is not None else sorted(consumer.partitions_for_topic(topic) or ())
    places = [TopicPartition(topic, number) for number in numbers]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    found = list(consumer)
    consumer.close()
    return found


def rows(partition: int, *keys: str, value: str = "v") -> pa.RecordBatch:
    """A publication's messages of one partition, its note last."""
    given = [(partition, False, STATE, key, f"{value} {key}") for key in keys]
    given += [(partition, True, STATE, "w", f"{value} note")]
    return pa.RecordBatch.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in given])


def delivery(stack: EmbeddedStack, number: int, group: str) -> Delivery:
    return Delivery(stack.kafka_bootstrap, None, group, number, at_once=2)


def test_a_sender_that_dies_and_one_that_is_repeated_send_each_message_once(stack: EmbeddedStack) -> None:
    whole, first = rows(1, "a", "b", "c", "d", "e"), delivery(stack, 7, "dies")

    def dying() -> Iterator[pa.RecordBatch]:
        # Two transactions of two; the third is never begun, as the fourth row does not come.
        yield whole.slice(0, 5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(sender(first)(dying()))
    before = [message.value for message in held(stack, STATE, partition=1)]
    assert 0 < len(before) < whole.num_rows
    sent = [batch.to_pylist() for batch in sender(first)([whole])]
    assert sent == [[{"partition": 1, "sent": whole.num_rows - len(before)}]]
    wanted = [value.encode() for value in whole.column("value").to_pylist()]
    assert [message.value for message in held(stack, STATE, partition=1)] == wanted
    assert [batch.to_pylist() for batch in sender(first)([whole])] == [[{"partition": 1, "sent": 0}]]
    assert [message.value for message in held(stack, STATE, partition=1)] == wanted


def test_a_sender_that_was_overtaken_writes_nothing_behind_the_newer_one(stack: EmbeddedStack) -> None:
    old, new = rows(2, *"abcdefgh", value="old"), rows(2, *"abcdefgh", value="new")

    def overtaken() -> Iterator[pa.RecordBatch]:
        yield old.slice(0, 6)
        assert sum(batch["sent"][0].as_py() for batch in sender(delivery(stack, 9, "late"))([new])) == new.num_rows
        yield old.slice(6)

    with pytest.raises(KafkaError):
        list(sender(delivery(stack, 8, "late"))(overtaken()))
    values = [message.value.decode() for message in held(stack, STATE, partition=2)]
    assert values[-new.num_rows :] == new.column("value").to_pylist()
    # And one that begins when a newer publication is there already has nothing to do.
    assert [batch["sent"][0].as_py() for batch in sender(delivery(stack, 8, "late"))([old])] == [0]


def tags(lake: Lake, folder: Path, *, kids: str, profiles: ProfileSettings | None = None) -> None:
    made = {"measures": {"orders": {"count": "purchases"}}, "levels": None, "value": "orders"}
    sensitive = definition("kids", **{"class": kids})
    write_catalogue(folder, definition("bought"), definition("made", **made, otherwise="none"), sensitive)
    given = {"workspace": "grocery", "base": "2018-01-01T00:00", "day": None, "as_of": None, "catalogue": folder}
    tags_job.run(lake.spark, replace(settings_of(lake), profiles=profiles), argparse.Namespace(**given))


def deliver(lake: Lake, settings: Settings) -> dict[str, Any]:
    found: Any = delivery_job.run(lake.spark, settings, argparse.Namespace(workspace="grocery"))["workspaces"]
    return dict(found["grocery"])


Values = dict[tuple[str, str], str]


@dataclass
class Told:
    """What each delivery said, the state that is published in the end, and what stands in the topics then."""

    facts: list[dict[str, Any]]
    published: Values
    compacted: Values
    changes: list[dict[str, Any]]
    reopened: tuple[Values, Values]  # values of a tag that was sensitive and is no more: published, and in the topic


@pytest.fixture(scope="module")
def told(stack: EmbeddedStack, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """1, 3, 5 have bought; then 0 buys, 1 has not, and `kids` is sensitive; then 3 refuses; then it is so no more."""
    home = tmp_path_factory.mktemp("told")
    lake = Lake(spark, str(home / "lake"))
    settings = replace(load(stack.settings_path), storage_root=lake.root)
    write_lives(lake, {n: Life(SINCE, [Order(local("2017-12-01T10:00"))] if n % 2 else []) for n in range(6)})
    tags(lake, home / "tags", kids="none")
    facts = [deliver(lake, settings), deliver(lake, settings)]
    bought, cancelled = Order(local("2017-12-05T10:00")), Order(SINCE, status="cancelled")
    add(lake, ORDERS, [order_row(0, 1, bought), order_row(1, 0, cancelled)])
    tags(lake, home / "tags", kids="minors")
    facts.append(deliver(lake, settings))
    profiles = ProfileSettings(write_notes(home / "profiles.sqlite", [token("device", 3)]), "", "")
    tags(lake, home / "tags", kids="minors", profiles=profiles)
    facts.append(deliver(lake, settings))
    published, before = state(lake), compacted(stack)
    # Once more somebody buys, and `kids` is sensitive no more.
    add(lake, ORDERS, [order_row(2, 1, bought)])
    tags(lake, home / "tags", kids="none", profiles=profiles)
    facts.append(deliver(lake, settings))
    changes = [json.loads(message.value) for message in held(stack, CHANGES)]
    return Told(facts, published, before, changes, (state(lake), compacted(stack)))


def compacted(stack: EmbeddedStack) -> Values:
    """Tag and person to the value that the state topic holds."""
    found: Values = {}
    for message in held(stack, STATE):
        parts = message.key.decode().split("/")
        if parts[0] != "grocery" or len(parts) != 3:
            continue
        found.pop((parts[1], parts[2]), None)
        if message.value is not None:
            found[parts[1], parts[2]] = json.loads(message.value)["value"]
    return found


def test_topics_hold_the_state_and_each_publication_ends_with_notes(told: Told) -> None:
    first, again, second, third, fourth = told.facts
    assert (first["number"], first["publications"]) == (1, 1)
    assert again == {"number": 1, "publications": 0, "messages": 0, "refused": 0}
    assert second["number"] == 2
    assert (third["number"], third["refused"], fourth["number"]) == (3, 1, 4)
    assert told.compacted == {key: value for key, value in told.published.items() if key[0] != "kids"}
    assert not [key for key in told.compacted if key[1] == "p3"], "who refuses profiling is in no state"
    notes = [one["state_version"] for one in told.changes if "generation" in one]
    assert sorted(notes) == [number for number in (1, 2, 3, 4) for _ in range(TAG_CHANGES_TOPIC.partitions)]


def folded(told: Told, until: int) -> Values:
    found: Values = {}
    for one in sorted((one for one in told.changes if "tag" in one), key=lambda one: int(one["state_version"])):
        if one["state_version"] > until:
            continue
        key = one["tag"], one["person_id"]
        before = found.pop(key, None)
        # Of who refuses profiling is told that the values went, not what they were.
        assert one["old_value"] == (None if one["cause"] == "refusal" else before), one
        if one["new_value"] is not None:
            found[key] = one["new_value"]
    return found


def test_changes_fold_to_the_state_and_tell_nothing_of_who_refuses(told: Told) -> None:
    # Of a tag that became sensitive no change is told any more.
    assert {key: value for key, value in folded(told, 3).items() if key[0] != "kids"} == told.compacted
    gone = [one for one in told.changes if one.get("person_id") == "p3" and one["state_version"] == 3]
    assert {(one["tag"], one["old_value"], one["new_value"], one["cause"]) for one in gone} == {
        ("bought", None, None, "refusal"),
        ("made", None, None, "refusal"),
    }


def test_a_tag_that_is_sensitive_no_more_is_told_of_again(told: Told) -> None:
    published, in_topic = told.reopened
    assert ("kids", "p2") in published
    assert in_topic == published == folded(told, 4)
