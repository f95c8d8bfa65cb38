"""Who has which id while persons merge and split: every alias leads to who lives, and a split gives former ids back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_jobs.contracts.identity import PERSONS
from spark_jobs.identity import homes, persons
from tests.spark.identity_rows import NOON, token

pytestmark = pytest.mark.thorough

Partition = list[set[int]]
_MEMBER = "identifier_no long, type string, scope string, token binary, first_seen_at timestamp, label long"

APART: Partition = [{1}, {2, 3}, {4, 5, 6}]
PAIR: Partition = [{1}, {2, 3, 4, 5, 6}]
ONE: Partition = [{1, 2, 3, 4, 5, 6}]
FINER: Partition = [{1}, {2}, {3}, {4, 5, 6}]


@dataclass(frozen=True)
class Known:
    """The registry (newest row of each person) and homes; who holds which component; what the last run changed."""

    registry: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    homes: dict[int, str] = field(default_factory=dict)
    owner: dict[int, str] = field(default_factory=dict)  # smallest identifier of a component: person_id
    changed: int = 0

    @property
    def survivors(self) -> dict[str, str]:
        return {person: row[PERSONS.column_names.index("survivor_id")] for person, row in self.registry.items()}


def resolved(spark: SparkSession, known: Known, partition: Partition) -> Known:
    """One run over a partition."""
    rows = [
        (n, "login", "shop", token(str(n)), NOON + timedelta(minutes=n), min(group))
        for group in partition
        for n in group
    ]
    members = spark.createDataFrame(rows, _MEMBER)
    registry = spark.createDataFrame(list(known.registry.values()), PERSONS.ddl)
    at_home = spark.createDataFrame(list(known.homes.items()), "identifier_no long, person_id string")
    seeded = persons.seeds(members)
    claimed = persons.claims(members, seeded, at_home, registry)
    new = persons.minted(seeded, claimed, registry, after=len(known.registry))
    assignment = persons.assigned(claimed, new).localCheckpoint()
    rows_of_persons = persons.registry_changes(assignment, registry, at_us=1, snapshot_id="s")
    changed = rows_of_persons.select(*PERSONS.column_names).collect()
    moved = homes.home_changes(members, assignment, at_home, at_us=1, snapshot_id="s").collect()
    owner = {row["label"]: row["person_id"] for row in persons.owners(assignment).collect()}
    return Known(
        registry={**known.registry, **{row["person_id"]: tuple(row) for row in changed}},
        homes={**known.homes, **{row["identifier_no"]: row["person_id"] for row in moved}},
        owner=owner,
        changed=len(changed) + len(moved),
    )


def test_ids_follow_merges_and_splits_as_if_nothing_had_happened(spark: SparkSession) -> None:
    apart = resolved(spark, Known(), APART)
    a, b, c = (apart.owner[n] for n in (1, 2, 4))
    assert apart.survivors == {a: a, b: b, c: c}

    pair = resolved(spark, apart, PAIR)
    assert (pair.owner, pair.survivors) == ({1: a, 2: b}, {a: a, b: b, c: b})
    one = resolved(spark, pair, ONE)
    assert (one.owner, one.survivors) == ({1: a}, dict.fromkeys((a, b, c), a))  # in one step, not c to b to a

    # The oldest, who has one identifier, does not follow the larger side.
    again = resolved(spark, one, APART)
    assert (again.owner, again.survivors) == (apart.owner, apart.survivors)

    finer = resolved(spark, again, FINER)
    d = finer.owner[3]
    assert finer.owner == {1: a, 2: b, 3: d, 4: c}
    assert d not in {a, b, c}
    assert resolved(spark, finer, FINER) == replace(finer, changed=0)
    all_one = resolved(spark, finer, ONE)
    assert all_one.survivors == dict.fromkeys((a, b, c, d), a)
    back = resolved(spark, all_one, FINER)
    assert (back.owner, back.survivors) == (finer.owner, finer.survivors)


def test_who_holds_nothing_by_itself_follows_its_survivor(spark: SparkSession) -> None:
    apart = resolved(spark, Known(), APART)
    a, b, c = (apart.owner[n] for n in (1, 2, 4))
    pair = resolved(spark, apart, PAIR)
    # The identifiers that were c's alone pass from person to person now, so they are at home nowhere.
    gone = replace(pair, homes={number: person for number, person in pair.homes.items() if person != c})
    one = resolved(spark, gone, [{1, 2, 3}])
    assert one.survivors == dict.fromkeys((a, b, c), a)
