"""Audiences in their topics, on a real broker: members as they are published, and a feed that folds to them."""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from services.embedded.stack import EmbeddedStack
from spark_jobs.audiences import job as audiences_job
from spark_jobs.contracts.core import ORDERS
from spark_jobs.contracts.topics import AUDIENCE_CHANGES_TOPIC, AUDIENCE_STATE_TOPIC
from spark_jobs.exports import audience_delivery_job
from spark_jobs.settings import ProfileSettings, Settings, load
from spark_jobs.storage.delta import Lake
from tests.refusal_notes import write_notes
from tests.spark.test_audiences import define
from tests.spark.test_audiences import state as members
from tests.stack.test_tag_delivery import held, tags
from tests.tag_histories import Life, Order, local
from tests.tag_identity import write_identity
from tests.tag_tables import add, order_row, settings_of, token, write_lives

SINCE, LATELY = local("2017-02-01T00:00"), local("2017-12-01T10:00")
BUYERS, OTHERS, KIDS = {"tag": "bought", "is": "true"}, {"not": {"audience": "buyers"}}, {"tag": "kids", "is": "true"}
NOTHING = {"number": 0, "publications": 0, "messages": 0, "refused": 0}
Held = set[tuple[str, str]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("audiences") / "data", with_trino=False) as running:
        yield running


@dataclass
class Told:
    """What each delivery said, what was published then, and what stands in the topics behind all of them.

    states: number of a publication to audience and person of what the compacted topic holds behind its notes.
    """

    facts: list[dict[str, Any]] = field(default_factory=list)
    published: dict[int, Held] = field(default_factory=dict)
    states: dict[int, Held] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    notes: list[int] = field(default_factory=list)

    def folded(self, until: int) -> Held:
        """The members that the feed gives up to a publication."""
        found: Held = set()
        for one in self.changes:
            key = one["audience"], one["person_id"]
            if one["state_version"] > until:
                continue
            if one["change"] == "enter":
                assert key not in found or one["cause"] == "definition", one
                found.add(key)
            else:
                found.discard(key)
        return found


def build(lake: Lake, folder: Path, profiles: ProfileSettings | None = None) -> int:
    """The number of the publication."""
    settings = replace(settings_of(lake), profiles=profiles)
    args = argparse.Namespace(workspace="grocery", audiences=folder)
    return int(str(audiences_job.run(lake.spark, settings, args)["number"]))


def deliver(lake: Lake, settings: Settings) -> dict[str, Any]:
    args = argparse.Namespace(workspace="grocery")
    found: Any = audience_delivery_job.run(lake.spark, settings, args)["workspaces"]
    return dict(found["grocery"])


def states(stack: EmbeddedStack) -> dict[int, Held]:
    found: dict[int, Held] = defaultdict(set)
    of_partition: dict[int, Held] = defaultdict(set)
    for message in held(stack, AUDIENCE_STATE_TOPIC.name):
        parts, mine = message.key.decode().split("/"), of_partition[message.partition]
        if len(parts) != 3:
            found[json.loads(message.value)["state_version"]] |= mine
        elif message.value is None:
            mine.discard((parts[1], parts[2]))
        else:
            mine.add((parts[1], parts[2]))
    return dict(found)


@pytest.fixture(scope="module")
def told(stack: EmbeddedStack, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """1, 3, 5 have bought; then 0 and 4 buy, `kids` is sensitive; then 4 refuses; then 2 buys, and it is so no more."""
    home = tmp_path_factory.mktemp("told")
    lake, made = Lake(spark, str(home / "lake")), Told()
    settings = replace(load(stack.settings_path), storage_root=lake.root)
    write_lives(lake, {n: Life(SINCE, [Order(LATELY)] if n % 2 else []) for n in range(6)})
    write_identity(lake, list(range(6)))
    folder = define(home / "audiences", buyers=BUYERS, others=OTHERS, kids_home=KIDS)

    def told_now(number: int) -> None:
        made.facts.append(deliver(lake, settings))
        made.published[number] = {(name, f"p{one}") for name, persons in members(lake).items() for one in persons}

    made.facts.append(deliver(lake, settings))
    tags(lake, home / "tags", kids="none")
    assert build(lake, folder) == 1
    told_now(1)
    told_now(1)
    add(lake, ORDERS, [order_row(person, 1, Order(LATELY)) for person in (0, 4)])
    tags(lake, home / "tags", kids="minors")
    assert build(lake, folder) == 2
    profiles = ProfileSettings(write_notes(home / "profiles.sqlite", [token("device", 4)]), "", "")
    tags(lake, home / "tags", kids="minors", profiles=profiles)
    assert build(lake, folder, profiles) == 3
    told_now(3)
    add(lake, ORDERS, [order_row(2, 1, Order(LATELY))])
    tags(lake, home / "tags", kids="none", profiles=profiles)
    assert build(lake, folder, profiles) == 4
    told_now(4)
    made.states = states(stack)
    feed = [json.loads(message.value) for message in held(stack, AUDIENCE_CHANGES_TOPIC.name)]
    made.changes = sorted((one for one in feed if "audience" in one), key=lambda one: int(one["state_version"]))
    made.notes = sorted(one["state_version"] for one in feed if "generation" in one)
    return made


def test_topics_hold_the_members_and_a_feed_that_folds_to_them(told: Told) -> None:
    nothing, first, again, both, last = told.facts
    assert nothing == NOTHING
    assert (first["number"], first["publications"]) == (1, 1)
    assert again == {**NOTHING, "number": 1}
    assert (both["number"], both["publications"], both["refused"]) == (3, 2, 1)
    assert (last["number"], last["publications"]) == (4, 1)
    assert told.states[1] == told.folded(1) == told.published[1]
    assert ("kids_home", "p1") in told.states[1]
    assert {one["cause"] for one in told.changes if one["state_version"] == 1} == {"first"}
    assert told.notes == [number for number in (1, 2, 3, 4) for _ in range(AUDIENCE_CHANGES_TOPIC.partitions)]


def test_of_a_sensitive_audience_nothing_is_told_until_it_is_sensitive_no_more(told: Told) -> None:
    everybody = told.published[3]
    assert ("kids_home", "p0") in everybody
    assert told.states[3] == {key for key in everybody if key[0] != "kids_home"}
    assert {key for key in told.folded(3) if key[0] != "kids_home"} == told.states[3]
    meanwhile = [one for one in told.changes if one["state_version"] in (2, 3)]
    assert not [one for one in meanwhile if one["audience"] == "kids_home"]
    assert told.states[4] == told.folded(4) == told.published[4]
    assert {key for key in told.published[4] if key[0] == "kids_home"} == {
        ("kids_home", f"p{person}") for person in (0, 1, 2, 3, 5)
    }


def test_changes_tell_their_causes_and_of_who_refuses_no_more_than_that(told: Told) -> None:
    later = [one for one in told.changes if one["state_version"] in (2, 3)]
    assert {(one["audience"], one["change"], one["cause"]) for one in later if one["person_id"] == "p4"} == {
        ("buyers", "exit", "refusal"),
        ("others", "exit", "refusal"),
    }, "that 4 has bought is told to nobody"
    (entered,) = [one for one in later if one["change"] == "enter"]
    assert (entered["audience"], entered["person_id"], entered["cause"]) == ("buyers", "p0", "tags")
    assert [(moved["tag"], moved["new_value"]) for moved in entered["tags"]] == [("bought", "true")]
