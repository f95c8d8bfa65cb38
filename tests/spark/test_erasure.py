"""Erasure: one of three goes from every table and file for good; the others do not notice; nothing brings her back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.audiences import AUDIENCE_CHANGES, AUDIENCE_PUBLICATIONS, AUDIENCES
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.derived import PERSON_TAGS, SESSIONS, TAG_CHANGES, TAG_PUBLICATIONS, TAG_REFUSED
from spark_jobs.contracts.erasure import TOMBSTONES
from spark_jobs.contracts.identity import IDENTIFIERS, PERSON_EVENTS, PERSONS
from spark_jobs.contracts.operations import QUARANTINE_ROWS, RAW_EVENTS
from spark_jobs.contracts.schema import Table
from spark_jobs.erasure import in_identity, running
from spark_jobs.erasure.canaries import files_with
from spark_jobs.errors import TerminalError
from spark_jobs.people.bitmaps import unpacked
from spark_jobs.protection.keys import create_root_key_file
from spark_jobs.protection.tombstones import ERASED
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import Fingerprint, fingerprint
from tests.erasure_world import HERS, NOON, OTHERS, SECRET, World, emptied, make
from tests.spark.identity_rows import resolve, seen_by_readers

BY_PERSON = (SESSIONS, PERSON_TAGS, TAG_CHANGES)
BY_SUBJECT = (EVENTS, ORDERS, ORDER_LINES)
FORM = "bob-form"


@dataclass(slots=True)
class Story:
    """What was seen before, between and after; the lake is as it was left at the end."""

    world: World
    ann: tuple[str, int]
    hers: set[str]
    before: dict[str, Any]
    found_before: dict[bytes, list[str]]
    requested: dict[str, Any]
    killed: list[str] = field(default_factory=list)
    ran: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    young: dict[str, Any] = field(default_factory=dict)
    certificate: dict[str, Any] = field(default_factory=dict)
    found_after: dict[bytes, list[str]] = field(default_factory=dict)
    replayed: dict[str, Any] = field(default_factory=dict)
    found_replayed: dict[bytes, list[str]] = field(default_factory=dict)
    refused: dict[str, bytes | None] = field(default_factory=dict)
    back: tuple[str, int] = ("", 0)
    held: tuple[str, dict[str, Any], int] = ("", {}, 0)


def of_others(world: World, ann: str) -> dict[str, Any]:
    """Figures of Bob and Cy in every kind of table; the one event that changes is looked at by itself."""
    tokens = [bytearray(world.token(name)) for name in (*OTHERS, "device:till")]
    lake, found = world.lake, dict[str, Fingerprint]()
    for table in BY_SUBJECT:
        rows = delta.read(lake, table).where(F.col("subject_token").isin(*map(F.lit, tokens)))
        rows = rows.where(~F.col("event_id").isin("till-20", FORM)) if table is EVENTS else rows
        found[table.name] = fingerprint(rows, table)
    for table in BY_PERSON:
        found[table.name] = fingerprint(delta.read(lake, table).where(F.col("person_id") != ann), table)
    others = {person for name, person in world.masters().items() if name != "ann"}
    readers, ids = seen_by_readers(lake), {person for person, _ in others}
    known = {row for row in readers["map"] if ids & set(row)}
    return {**found, "map": known, "masters": others, "homes": {row for row in readers["homes"] if row[1] in ids}}


def count(lake: Lake, table: Table) -> int:
    return delta.read(lake, table).count()


def numbers(lake: Lake) -> dict[str, int]:
    return {table.name: count(lake, table) for table in (EVENTS, ORDERS, ORDER_LINES, IDENTIFIERS, PERSONS)}


@pytest.fixture(scope="module")
def story(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("erasure")
    key_file = folder / "keys" / "root.json"
    create_root_key_file(key_file)
    lake = Lake(spark, str(folder / "lake"))
    world = make(lake, key_file)
    ann = world.masters()["ann"]
    root, canaries = Path(lake.root), [*world.canaries(), ann[0].encode()]
    before, hers = of_others(world, ann[0]), world.events_of(ann[0])
    found = files_with(root, canaries)
    requested = world.erase(person=world.named(HERS[0]), author="the office", reason="asked by letter")
    told = Story(world, ann, hers, before, found, requested)
    told.young = world.erase(run=True, grace_minutes=60)
    told.killed = [_killed(world, running, "_note", 3), _killed(world, in_identity, "_show", 1)]
    told.ran = world.erase(run=True)
    told.after = {**of_others(world, ann[0]), "numbers": numbers(lake)}
    told.refused = {row["reason"]: row["sealed"] for row in delta.read(lake, QUARANTINE_ROWS).collect()}
    emptied(lake)
    told.certificate = world.erase(certificate=requested["request_id"])
    told.found_after = files_with(root, canaries)
    world.receive(world.first(), "a new checkpoint", 0)
    world.receive(world.second(), "a new checkpoint", 1)
    resolve(lake)
    resolve(lake, rebuild=True)
    told.replayed = {**of_others(world, ann[0]), "numbers": numbers(lake)}
    told.found_replayed = files_with(root, canaries)
    _go_on(told)
    yield told
    spark.catalog.clearCache()


def _go_on(story: Story) -> None:
    """Ann comes back, three days after; Cy is asked for, and becomes one with another before the run."""
    world = story.world
    since_noon = datetime.now(UTC) + timedelta(days=3) - NOON
    back = world.message("ann-again", since_noon / timedelta(minutes=1), HERS[0], "device:new")
    world.receive([back, world.message("eve-1", 250, "member_no:E1")], "a new checkpoint", 2, later=since_noon)
    resolve(world.lake)
    story.back = world.masters()["ann"]
    asked = world.erase(person=world.named(OTHERS[2]), author="the office", reason="asked")
    world.receive([world.message("eve-2", 300, "member_no:E1", OTHERS[2])], "a new checkpoint", 3)
    resolve(world.lake)
    events = count(world.lake, EVENTS)
    story.held = (asked["request_id"], world.erase(run=True), events - count(world.lake, EVENTS))


def _killed(world: World, module: ModuleType, name: str, call: int) -> str:
    """Run until a function is called for so many times; where the process was killed then."""
    calls: list[str] = []
    real = getattr(module, name)

    def last(*given: Any, **more: Any) -> object:
        calls.append(str(given[1]) if name == "_note" else name)
        if len(calls) == call:
            raise KeyboardInterrupt
        return real(*given, **more)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, name, last)
        with pytest.raises(KeyboardInterrupt):
            world.erase(run=True)
    return calls[-1]


def rows(story: Story, table: Table) -> DataFrame:
    return delta.read(story.world.lake, table)


def test_what_is_looked_for_is_there_before(story: Story) -> None:
    """A scan that finds nothing proves nothing where it never found anything."""
    missing = [one for one in story.world.canaries() if one not in story.found_before]
    assert missing == []
    assert story.hers >= {"ann-1", "ann-2", "ann-3", "ann-4", "ann-5", "till-10", "till-30"}


def test_a_request_keeps_no_identifier_but_tombstones(story: Story) -> None:
    assert story.requested["identifiers"] == len(HERS)
    assert story.requested["master_ids"] == 2
    stones = {bytes(row["tombstone"]) for row in rows(story, TOMBSTONES).collect()}
    assert stones.isdisjoint(story.world.token(name) for name in HERS)


def test_a_young_request_waits(story: Story) -> None:
    assert (story.young["requests"], story.young["waiting"], story.young["rows_removed"]) == (0, 1, 0)


def test_a_run_that_was_killed_twice_comes_to_its_end(story: Story) -> None:
    assert story.killed == [ORDER_LINES.name, "_show"]
    assert (story.ran["requests"], story.ran["held"], story.ran["waiting"]) == (1, [], 0)
    assert story.ran["rows_removed"] >= len(story.hers)
    assert not list(Path(story.world.lake.root, "work", "erasure").iterdir()), "tokens of the run are gone"


def test_no_file_holds_a_token_or_a_word_of_hers(story: Story) -> None:
    left = {one: files for one, files in story.found_after.items() if one in story.world.canaries()}
    assert left == {}


def test_her_master_id_stands_in_logs_alone_until_they_are_cleaned(story: Story) -> None:
    files = story.found_after.get(story.ann[0].encode(), [])
    assert [name for name in files if "_delta_log" not in name] == []


def test_the_others_do_not_notice(story: Story) -> None:
    for name, figures in story.before.items():
        assert story.after[name] == figures, name


def test_every_event_of_hers_is_gone_and_the_form_of_another_lost_her_phone_alone(story: Story) -> None:
    left = {row["event_id"] for row in rows(story, EVENTS).select("event_id").collect()}
    assert left.isdisjoint(story.hers)
    assert {"bob-1", "cy-1", "till-60", "till-70", "till-80", FORM} <= left
    form = rows(story, EVENTS).where(F.col("event_id") == FORM).collect()[0]
    assert [one["type"] for one in form["identifiers"]] == ["login"]
    assert json.loads(form["properties"]) == {"form": "of Bob"}


def test_a_shared_device_stays_with_the_other(story: Story) -> None:
    held = story.world.map().where(F.col("token") == F.lit(bytearray(story.world.token("device:till")))).collect()
    assert story.ann[0] not in {row["person_id"] for row in held}
    assert not rows(story, IDENTIFIERS).where(F.col("type") == "device").where("scope = 'web'").isEmpty()


def test_publications_say_how_many_are_left(story: Story) -> None:
    tags = rows(story, TAG_PUBLICATIONS).collect()[0]
    assert (tags["rows"], count(story.world.lake, PERSON_TAGS)) == (2, 2)
    assert (tags["refused"], count(story.world.lake, TAG_REFUSED)) == (0, 0)
    told = rows(story, AUDIENCE_PUBLICATIONS).collect()[0]
    assert (told["persons"], json.loads(told["audiences"])) == (
        2,
        {"vips": {"persons": 2}, "ann_alone": {"persons": 0}},
    )
    bitmaps = {row["audience"]: row for row in rows(story, AUDIENCES).collect()}
    assert set(bitmaps) == {"_persons", "vips"}, "a chunk without members is no row"
    assert story.ann[1] not in unpacked(bytes(bitmaps["vips"]["members"]))
    assert bitmaps["vips"]["persons"] == len(unpacked(bytes(bitmaps["vips"]["members"]))) == 2


def test_topics_that_keep_a_state_are_told_that_her_values_are_gone(story: Story) -> None:
    told = (("databank.tags.state", "vip"), ("databank.audiences.state", "vips"))
    assert set(story.world.topics) == {(topic, f"grocery/{name}/{story.ann[0]}", None) for topic, name in told}


def test_of_another_who_once_was_one_with_her_no_more_is_told(story: Story) -> None:
    left = rows(story, AUDIENCE_CHANGES).collect()
    assert sorted(row["audience"] for row in left) == ["once", "vips", "vips"]
    assert [row["survivor_id"] for row in left if row["audience"] == "once"] == [None]


def test_history_of_merges_names_nobody_who_is_gone(story: Story) -> None:
    living = {row["person_id"] for row in rows(story, PERSONS).collect()}
    for row in rows(story, PERSON_EVENTS).collect():
        assert {row["person_id"], row["from_person_id"], row["to_person_id"]} <= living


def test_a_replay_brings_nobody_back_and_is_counted(story: Story) -> None:
    assert story.replayed["numbers"] == story.after["numbers"]
    for name, figures in story.before.items():
        assert story.replayed[name] == figures, name
    left = {one: files for one, files in story.found_replayed.items() if one in story.world.canaries()}
    assert left == {}
    refused = rows(story, QUARANTINE_ROWS).where(F.col("reason") == ERASED)
    assert refused.count() >= 8
    assert refused.where(F.col("sealed").isNotNull()).isEmpty()


def test_bytes_that_name_her_are_dropped_and_places_stay(story: Story) -> None:
    clear = next(reason for reason in story.refused if reason.startswith("clear identifier"))
    assert story.refused[clear] is None, "the value in clear was found by its token"
    assert story.refused["purchase without lines"] is None
    assert story.refused["not a JSON object of the event schema"] is not None


def test_raw_messages_of_others_lost_her_token(story: Story) -> None:
    every = [row["body"] for row in rows(story, RAW_EVENTS).select("body").collect()]
    bodies = [body for body in every if "ann-again" not in body]  # of who came back
    assert not any(story.world.token(name).hex() in body for body in bodies for name in HERS)
    assert any(FORM in body and '"token": "erased"' in body for body in bodies)
    assert not any(SECRET in body for body in bodies)


def test_the_certificate_says_what_went_and_that_it_is_gone(story: Story) -> None:
    told = story.certificate
    assert (told["state"], told["gone"]) == ("erased", True)
    by_table = {one["table_name"]: one for one in told["tables"]}
    assert by_table[EVENTS.name]["rows_removed"] == len(story.hers)
    assert by_table[EVENTS.name]["rows_changed"] == 1
    assert all(one["files_left"] == 0 for one in told["tables"])
    assert set(told["outside"]) >= {"topics_hold_messages_until", "exports", "backups", "serving_store"}


def test_who_comes_back_is_a_new_person(story: Story) -> None:
    person_id, person_no = story.back
    assert person_id != story.ann[0]
    assert person_no > max(number for _, number in [story.ann, *story.before["masters"]])
    assert rows(story, PERSONS).where(F.col("person_id") == person_id).collect()[0]["generation"] > 1


def test_a_request_whose_person_changed_since_is_held(story: Story) -> None:
    """After it was recorded two became one: for the other nobody asked."""
    request, ran, gone = story.held
    assert (ran["held"], ran["requests"], gone) == ([request], 0, 0)
    assert story.world.erase(certificate=request)["state"] == "open"
    with pytest.raises(TerminalError, match="no request"):
        story.world.erase(certificate="00000000-0000-0000-0000-000000000000")
