"""Audiences in their topics, on a real broker: members as they are published, and a feed that folds to them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
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
OPEN = {"buyers", "others"}
Held = set[tuple[str, str]]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    with EmbeddedStack(tmp_path_factory.mktemp("audiences") / "data", with_trino=False) as running:
        yield running


def build(lake: Lake, folder: Path, profiles: ProfileSettings | None = None) -> int:
    """The number of the publication."""
    settings = replace(settings_of(lake), profiles=profiles)
    args = argparse.Namespace(workspace="grocery", audiences=folder)
    return int(str(audiences_job.run(lake.spark, settings, args)["number"]))


def deliver(lake: Lake, settings: Settings) -> dict[str, Any]:
    args = argparse.Namespace(workspace="grocery")
    found: Any = audience_delivery_job.run(lake.spark, settings, args)["workspaces"]
    return dict(found["grocery"])


def in_state(stack: EmbeddedStack) -> Held:
    """Audience and person of what the compacted topic holds."""
    found: dict[tuple[str, str], bool] = {}
    for message in held(stack, AUDIENCE_STATE_TOPIC.name):
        parts = message.key.decode().split("/")
        if len(parts) == 3:
            found[parts[1], parts[2]] = message.value is not None
    return {key for key, is_member in found.items() if is_member}


def feed(stack: EmbeddedStack) -> tuple[list[dict[str, Any]], list[int]]:
    """Changes in their order, and the publications that notes tell of."""
    told = [json.loads(message.value) for message in held(stack, AUDIENCE_CHANGES_TOPIC.name)]
    changes = sorted((one for one in told if "audience" in one), key=lambda one: int(one["state_version"]))
    return changes, sorted(one["state_version"] for one in told if "generation" in one)


def folded(changes: list[dict[str, Any]]) -> Held:
    found: Held = set()
    for one in changes:
        key = one["audience"], one["person_id"]
        if one["change"] == "enter":
            assert key not in found, one
            found.add(key)
        else:
            found.discard(key)
    return found


def published(lake: Lake) -> Held:
    """Members of the audiences that everybody may see."""
    return {(name, f"p{person}") for name, persons in members(lake).items() if name in OPEN for person in persons}


def test_topics_hold_the_members_and_a_feed_that_folds_to_them(
    stack: EmbeddedStack, spark: SparkSession, tmp_path: Path
) -> None:
    lake = Lake(spark, str(tmp_path / "lake"))
    settings = replace(load(stack.settings_path), storage_root=lake.root)
    write_lives(lake, {n: Life(SINCE, [Order(LATELY)] if n % 2 else []) for n in range(6)})
    write_identity(lake, list(range(6)))
    buyers = {"tag": "bought", "is": "true"}
    folder = define(
        tmp_path / "audiences",
        buyers=buyers,
        others={"not": {"audience": "buyers"}},
        kids_home={"tag": "kids", "is": "true"},
    )
    assert deliver(lake, settings) == {"number": 0, "publications": 0, "messages": 0, "refused": 0}
    tags(lake, tmp_path / "tags", kids="none")
    assert build(lake, folder) == 1
    assert (first := deliver(lake, settings))["publications"] == 1, first
    assert deliver(lake, settings) == {"number": 1, "publications": 0, "messages": 0, "refused": 0}
    assert in_state(stack) == published(lake) | {("kids_home", f"p{person}") for person in (1, 3, 5)}
    changes, notes = feed(stack)
    assert folded(changes) == in_state(stack)
    assert {one["cause"] for one in changes} == {"first"}
    assert notes == [1] * AUDIENCE_CHANGES_TOPIC.partitions

    # 0 and 4 buy, an audience becomes sensitive; then 4 refuses. What came before is delivered behind that.
    add(lake, ORDERS, [order_row(person, 1, Order(LATELY)) for person in (0, 4)])
    tags(lake, tmp_path / "tags", kids="minors")
    assert build(lake, folder) == 2
    profiles = ProfileSettings(write_notes(tmp_path / "profiles.sqlite", [token("device", 4)]), "", "")
    tags(lake, tmp_path / "tags", kids="minors", profiles=profiles)
    assert build(lake, folder, profiles) == 3
    both = deliver(lake, settings)
    assert (both["number"], both["publications"], both["refused"]) == (3, 2, 1)
    assert in_state(stack) == published(lake)
    changes, notes = feed(stack)
    assert {key for key in folded(changes) if key[0] in OPEN} == published(lake)
    assert notes == [number for number in (1, 2, 3) for _ in range(AUDIENCE_CHANGES_TOPIC.partitions)]
    later = [one for one in changes if one["state_version"] > 1]
    assert {(one["audience"], one["change"], one["cause"]) for one in later if one["person_id"] == "p4"} == {
        ("buyers", "exit", "refusal"),
        ("others", "exit", "refusal"),
    }, "that 4 has bought is told to nobody"
    (entered,) = [one for one in later if one["change"] == "enter"]
    assert (entered["audience"], entered["person_id"], entered["cause"]) == ("buyers", "p0", "tags")
    assert [(moved["tag"], moved["new_value"]) for moved in entered["tags"]] == [("bought", "true")]
    assert not [one for one in later if one["audience"] == "kids_home"]
