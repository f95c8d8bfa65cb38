"""A snapshot is published whole or not at all: runs that die between two commits, runs at once, former lakes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.identity import (
    IDENTIFIERS,
    IDENTITY_LINK_STATES,
    IDENTITY_LINKS,
    IDENTITY_MAP,
    IDENTITY_SNAPSHOTS,
    PERSON_EVENTS,
    PERSONS,
)
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError
from spark_jobs.identity import job
from spark_jobs.identity.publication import PUBLISHED, Proposal, Publisher, publish
from spark_jobs.people.system_time import known_at, newest_at
from spark_jobs.storage import delta, fences
from spark_jobs.storage.checkpoints import Scratch
from spark_jobs.storage.commits import newest_commits
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.fences import Fence
from spark_jobs.storage.snapshots import newest_snapshot, published_map, published_snapshot
from tests.spark.identity_rows import event, identifier, put, resolve, seen_by_readers

pytestmark = pytest.mark.thorough

AT_FIRST = [
    event("e1", 0, "login:eve", "device:e1"),
    event("e2", 5, "phone:eve", "openid:eve", "device:e2"),
    event("f1", 1, "login:fay", "device:shared"),
    event("g1", 2, "login:gus", "device:shared"),
]
# Merges two persons and brings a new one.
LATER = [event("e3", 9, "login:eve", "phone:eve"), event("h1", 10, "login:hal", "phone:hal")]
# Something that a run that died has not seen.
MEANWHILE = [event("i1", 20, "login:ida", "phone:ida"), event("f2", 21, "login:fay", "phone:fay")]
COMMITS = (*PUBLISHED, IDENTITY_SNAPSHOTS)


class Died(BaseException):
    """Nothing of the run goes on after it, as after a kill."""


HONEST = fences.change


def dying_before(table: Table, before_us: int) -> Callable[..., int]:
    """`change` that dies in place of the run's commit on a table; what former runs left is taken back first."""

    def change(fence: Fence, changed: Table, rows: DataFrame, *, at_us: int, gone: DataFrame | None = None) -> int:
        if changed is table and at_us > before_us:
            raise Died
        return HONEST(fence, changed, rows, at_us=at_us, gone=gone)

    return change


class Attempts:
    """Publishes what one run proposes, again and again, each time as a run of its own."""

    def __init__(self, publisher: Publisher, proposal: Proposal) -> None:
        self.publisher, self.proposal = publisher, proposal

    @property
    def lake(self) -> Lake:
        return self.publisher.lake

    def publish(self, run_id: str) -> dict[str, int | str]:
        scratch = Scratch(self.lake, f"{self.publisher.scratch.folder}/{run_id}")
        return publish(replace(self.publisher, scratch=scratch, run_id=run_id), self.proposal)


@contextmanager
def attempts(lake: Lake, act: Callable[[Attempts], None]) -> Iterator[None]:
    """A run that ends where it would publish: `act` does so instead."""

    def ended(publisher: Publisher, proposal: Proposal) -> None:
        act(Attempts(publisher, proposal))
        raise Died

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(job, "publish", ended)
        with pytest.raises(Died):
            resolve(lake)
    yield


def die_before_each_commit(one: Attempts) -> Iterator[dict[str, set[Any]]]:
    """What readers see after each death."""
    for table in COMMITS:
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(fences, "change", dying_before(table, published_snapshot(one.lake).at_us))
            with pytest.raises(Died):
                one.publish(f"dies before {table.table_name}")
        yield seen_by_readers(one.lake)


def be_overtaken(one: Attempts) -> Iterator[str]:
    """What the first run says where another one publishes between its commits, and what it says when it tries again."""
    calls = iter(range(100))

    def change(*given: Any, **named: Any) -> int:
        if next(calls) == 1:
            patched.setattr(fences, "change", HONEST)
            one.publish("the other")
        return HONEST(*given, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fences, "change", change)
        with pytest.raises(RetryableError) as raised:
            one.publish("the first")
        yield str(raised.value)
    with pytest.raises(RetryableError) as raised:
        one.publish("the first, which has not looked again")
    yield str(raised.value)


@dataclass(frozen=True)
class Story:
    """What readers saw of a small lake, and what runs said that another one overtook."""

    before: dict[str, set[Any]]
    deaths: list[dict[str, set[Any]]]
    said: list[str]
    after: dict[str, set[Any]]


@pytest.fixture(scope="module")
def small_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(spark, str(tmp_path_factory.mktemp("publication") / "lake"))


@pytest.fixture(scope="module")
def story(small_lake: Lake) -> Story:
    """A run dies before each of its commits, others come with other input, and one overtakes the other."""
    put(small_lake, AT_FIRST, [])
    resolve(small_lake)
    before = seen_by_readers(small_lake)
    deaths: list[dict[str, set[Any]]] = []
    said: list[str] = []
    put(small_lake, LATER)
    with attempts(small_lake, lambda one: deaths.extend(die_before_each_commit(one))):
        put(small_lake, MEANWHILE)
    with attempts(small_lake, lambda one: said.extend(be_overtaken(one))):
        return Story(before, deaths, said, seen_by_readers(small_lake))


def test_readers_never_see_what_a_run_wrote_that_died(story: Story, small_lake: Lake) -> None:
    assert story.deaths == [story.before] * len(COMMITS)
    assert story.after != story.before
    # The deaths hit something: each table was changed, and taken back to the first snapshot's moment.
    first = delta.read(small_lake, IDENTITY_SNAPSHOTS).agg(F.unix_micros(F.min("published_at"))).collect()[0][0]
    for table in PUBLISHED:
        facts = [commit.facts for commit in newest_commits(small_lake, table, limit=100)]
        moments = [int(one["at_us"]) for one in facts if "at_us" in one]
        assert any(moment == first < before for moment, before in pairwise(moments)), table.name


def test_the_next_run_ends_as_if_nobody_had_died(story: Story, lake: Lake) -> None:
    put(lake, AT_FIRST, [])
    resolve(lake)
    put(lake, [*LATER, *MEANWHILE])
    resolve(lake)
    assert seen_by_readers(lake) == story.after


def test_of_two_runs_at_once_one_publishes_and_the_other_says_so(story: Story, small_lake: Lake) -> None:
    between, late = story.said
    assert "another run of identity began to publish after this one" in between
    assert "another identity run published meanwhile" in late
    authors = [row.run_id for row in delta.read(small_lake, IDENTITY_SNAPSHOTS).orderBy("published_at").collect()]
    assert authors[1:] == ["the other"]
    assert resolve(small_lake)["changed"] is False


def test_a_merge_says_which_link_brought_it(story: Story, small_lake: Lake) -> None:
    (merge,) = delta.read(small_lake, PERSON_EVENTS).where("kind = 'merge'").collect()
    assert (merge.cause, merge.event_id) == ("joins", "e3")
    held = {row.token: row.person_id for row in published_map(small_lake, published_snapshot(small_lake)).collect()}
    assert merge.to_person_id == held[identifier("phone:eve")[2]] == held[identifier("login:eve")[2]]
    assert merge.person_id == merge.from_person_id != merge.to_person_id


def test_a_lake_of_the_former_release_keeps_every_label(small_lake: Lake, story: Story, lake: Lake) -> None:
    """That one had no homes, no moments but the map's, one row per person and the newest state of each link."""
    copied(small_lake, lake)
    before = seen_of_former(lake)
    facts = resolve(lake, rebuild=True)
    assert (facts["changed"], facts["map rows opened"], facts["map rows closed"]) == (True, 0, 0)
    assert facts["registry rows changed"] == 0
    after = seen_by_readers(lake)
    assert (after["map"], after["persons"]) == before
    assert after["homes"] == seen_by_readers(small_lake)["homes"]
    # And goes on keeping them: who is new is new, and nobody else.
    put(lake, [event("z1", 40, "login:zed", "phone:zed")])
    assert resolve(lake)["registry rows changed"] == 1


def copied(source: Lake, target: Lake) -> None:
    at_us = published_snapshot(source).at_us
    late = {"system_from", "system_to", "versions"}
    rows = {
        EVENTS: delta.read(source, EVENTS),
        MEMBERS: delta.read(source, MEMBERS),
        IDENTIFIERS: delta.read(source, IDENTIFIERS),
        IDENTITY_LINKS: delta.read(source, IDENTITY_LINKS),
        IDENTITY_MAP: delta.read(source, IDENTITY_MAP),
        IDENTITY_LINK_STATES: known_at(delta.read(source, IDENTITY_LINK_STATES), at_us).drop(*late),
        PERSONS: newest_at(delta.read(source, PERSONS), ["person_id"], at_us).drop(*late),
        IDENTITY_SNAPSHOTS: delta.read(source, IDENTITY_SNAPSHOTS).drop(*late),
    }
    for table, found in rows.items():
        columns = tuple(column for column in table.columns if column.name in found.columns)
        former = replace(table, columns=columns, key=(), statistics_on=())
        delta.append(found, target, former, once=Transaction("copy", 1))


def seen_of_former(lake: Lake) -> tuple[set[Any], set[Any]]:
    snapshot = newest_snapshot(lake)
    assert snapshot is not None
    held = published_map(lake, snapshot).drop("identifier_no", "system_from", "snapshot_id")
    people = delta.read(lake, PERSONS).select("person_id", "person_no", "survivor_id")
    return {tuple(row) for row in held.collect()}, {tuple(row) for row in people.collect()}
