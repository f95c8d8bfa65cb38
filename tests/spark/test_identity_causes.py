"""Each event names the two persons between whom it happened, and a link that did it; small frames, no run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.identity.causes import handovers, moves, person_events, triggers
from spark_jobs.identity.difference import hands
from spark_jobs.identity.rules import ALWAYS, PARKED, USED

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
Links = list[tuple[int, int, str, str]]  # identifiers, state, reason
Held = dict[int, str]  # who holds an identifier for good


class World:
    """Who held what before and after, and which links were judged anew."""

    def __init__(self, spark: SparkSession, before: Held, after: Held, judged: Links) -> None:
        self.spark = spark
        self.before, self.after = (self._map(held) for held in (before, after))
        self.judged = spark.createDataFrame(judged, "identifier_a long, identifier_b long, state string, reason string")
        gone = [(number, person, NOON) for number, person in before.items() if after.get(number) != person]
        come = [(number, person, None) for number, person in after.items() if before.get(number) != person]
        rows = spark.createDataFrame(gone + come, "identifier_no long, person_id string, system_to timestamp")
        self.mapped = rows.withColumn("valid_from", F.expr(ALWAYS))
        seen = [
            (a, b, "co_occurrence", NOON + timedelta(minutes=minute), f"{a}-{b} at {minute}")
            for a, b, *_ in judged
            for minute in (2, 1)
        ]
        columns = "identifier_a long, identifier_b long, kind string, first_seen_at timestamp, event_id string"
        self.ledger = spark.createDataFrame(seen, columns)

    def events(self, registered: list[tuple[str, str, int]], registry: list[tuple[str, str]]) -> dict[str, Row]:
        """Events by `person kind to`. In: new rows of the registry (id, survivor, seed), and who it knew."""
        new = self.spark.createDataFrame(registered, "person_id string, survivor_id string, seed_identifier_no long")
        known = self.spark.createDataFrame(registry, "person_id string, survivor_id string")
        moved = moves(new, known, self.before)
        happened = moved.unionByName(handovers(hands(self.mapped), moved))
        found = triggers(self.judged, self.before, self.after)
        told = person_events(happened, found, self.ledger, at_us=1, snapshot_id="s").collect()
        by_name = {f"{row.person_id} {row.kind} {row.to_person_id}": row for row in told}
        assert len(by_name) == len(told), told
        return by_name

    def _map(self, held: Held) -> DataFrame:
        rows = self.spark.createDataFrame(list(held.items()), "identifier_no long, person_id string")
        return rows.withColumn("valid_from", F.expr(ALWAYS))


def link_of(row: Row) -> tuple[int | None, int | None, str, str | None]:
    return row.identifier_a, row.identifier_b, row.cause, row.event_id


def test_merges_into_one_through_a_new_identifier_each_have_a_link_of_their_own(spark: SparkSession) -> None:
    judged = [(number, 9, USED, "seen together") for number in (1, 2, 3)]
    world = World(spark, {1: "p1", 2: "p2", 3: "p3"}, {1: "p1", 2: "p1", 3: "p1", 9: "p1"}, judged)
    told = world.events([("p2", "p1", 2), ("p3", "p1", 3)], [(name, name) for name in ("p1", "p2", "p3")])
    assert set(told) == {"p2 merge p1", "p3 merge p1"}
    assert link_of(told["p2 merge p1"]) == (2, 9, "seen together", "2-9 at 1")
    assert link_of(told["p3 merge p1"]) == (3, 9, "seen together", "3-9 at 1")


def test_who_resolved_to_somebody_that_merges_moves_for_the_same_reason(spark: SparkSession) -> None:
    world = World(spark, {1: "p1", 2: "p2"}, {1: "p1", 2: "p1"}, [(1, 2, USED, "seen together")])
    told = world.events([("p2", "p1", 2), ("p7", "p1", 2)], [("p1", "p1"), ("p2", "p2"), ("p7", "p2")])
    assert set(told) == {"p2 merge p1", "p7 move p1"}
    assert {link_of(row) for row in told.values()} == {(1, 2, "seen together", "1-2 at 1")}


def test_each_part_that_is_split_off_names_the_link_that_held_it(spark: SparkSession) -> None:
    before = {1: "p1", 2: "p1", 3: "p1", 4: "p1"}
    judged = [(1, 2, PARKED, "weaker"), (1, 3, PARKED, "shared"), (1, 4, USED, "seen together")]
    world = World(spark, before, {1: "p1", 4: "p1", 2: "p2", 3: "p3"}, judged)
    # The one comes back, the other is minted for an identifier that was the first one's.
    told = world.events([("p2", "p2", 2), ("p3", "p3", 3)], [("p1", "p1"), ("p2", "p1")])
    assert set(told) == {"p2 split p2", "p3 split p3"}
    assert link_of(told["p2 split p2"]) == (1, 2, "weaker", "1-2 at 1")
    assert link_of(told["p3 split p3"]) == (1, 3, "shared", "1-3 at 1")
    assert {row.from_person_id for row in told.values()} == {"p1"}


def test_an_identifier_that_goes_from_one_living_person_to_another_is_told(spark: SparkSession) -> None:
    judged = [(1, 5, PARKED, "weaker"), (2, 5, USED, "seen together")]
    world = World(spark, {1: "p1", 5: "p1", 6: "p1", 2: "p2"}, {1: "p1", 5: "p2", 6: "p2", 2: "p2"}, judged)
    told = world.events([], [("p1", "p1"), ("p2", "p2")])
    assert set(told) == {"p1 handover p2"}
    assert link_of(told["p1 handover p2"]) == (2, 5, "seen together", "2-5 at 1")


@pytest.mark.parametrize("state", [USED, PARKED])
def test_what_changes_no_persons_is_no_event(spark: SparkSession, state: str) -> None:
    world = World(spark, {1: "p1", 2: "p1"}, {1: "p1", 2: "p1", 8: "p1"}, [(1, 2, state, "r"), (1, 8, state, "r")])
    assert world.events([], [("p1", "p1")]) == {}


def test_without_a_link_that_was_judged_anew_the_rules_are_the_cause(spark: SparkSession) -> None:
    world = World(spark, {1: "p1", 2: "p2"}, {1: "p1", 2: "p1"}, [(7, 8, USED, "of others")])
    (told,) = world.events([("p2", "p1", 2)], [("p1", "p1"), ("p2", "p2")]).values()
    assert link_of(told) == (None, None, "rules", None)
