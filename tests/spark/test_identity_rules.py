"""Changed rules work backwards: the guards are asked again over the whole ledger, and undoing a change undoes it all.

Over one lake: a run by the shipped rules, a dry run by others, a run by these, and one by the shipped ones again.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.identity import IDENTITY_LINKS, IDENTITY_SNAPSHOTS, PERSON_EVENTS
from spark_jobs.contracts.operations import RUNS
from spark_jobs.identity import dry_run_job, job
from spark_jobs.identity.components import ROOT_LINK_BUDGET
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from tests.identity_rules import changed, rules_at
from tests.spark.identity_found import Found, found
from tests.spark.identity_rows import event, identifier, put, resolve, settings, token

FAX = ("fax", "", token("fax:1"), "k1")
STORIES = [
    # A phone of test data joins two people who have nothing in common but it.
    event("t1", 0, "login:tom", "phone:test"),
    event("t2", 1, "phone:test", "openid:tim"),
    # Two people on one phone: the weaker link gives way.
    event("h1", 2, "login:hans", "phone:home"),
    event("h2", 3, "login:heidi", "phone:home"),
    # A cookie, and a number of an open platform.
    event("c1", 4, "login:cleo", "cookie:cleo"),
    event("c2", 5, "cookie:cleo", authenticated=False),
    event("u1", 6, "phone:una", "unionid:una"),
    # A type that nobody declared, on the events of two people.
    event("f1", 7, "login:fay", identifiers=[identifier("login:fay"), FAX]),
    event("f2", 8, "login:fred", identifiers=[identifier("login:fred"), FAX]),
]


def other_rules(folder: Path) -> Path:
    """The test phone is nobody, a phone is one person's, cookies are undeclared, a UnionID is only a hint."""
    content: dict[str, Any] = changed("types.phone.owner_limit", 1)
    del content["types"]["cookie"]
    content["types"]["unionid"]["trust"] = "hint"
    content["blocked"] = [{"type": "phone", "token": identifier("phone:test")[2].hex(), "reason": "of test data"}]
    return rules_at(folder, content)


@pytest.fixture(scope="module")
def shared_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(spark, str(tmp_path_factory.mktemp("rules") / "lake"))


@pytest.fixture(scope="module")
def shipped(shared_lake: Lake) -> Found:
    put(shared_lake, STORIES, [])
    return found(shared_lake, resolve(shared_lake))


@pytest.fixture(scope="module")
def tried(shared_lake: Lake, shipped: Found, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a dry run says, and the versions of all tables before and after it."""
    tables = (*job.OWN_TABLES, EVENTS, MEMBERS, RUNS)
    before = {table.name: delta.current_version(shared_lake, table) for table in tables}
    rules = other_rules(tmp_path_factory.mktemp("dry"))
    args = Namespace(rules=rules, root_link_budget=ROOT_LINK_BUDGET)
    told = dry_run_job.run(shared_lake.spark, settings(shared_lake), args)
    after = {table.name: delta.current_version(shared_lake, table) for table in tables}
    return {"told": told, "before": before, "after": after}


@pytest.fixture(scope="module")
def other(shared_lake: Lake, tried: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Found:
    rules = other_rules(tmp_path_factory.mktemp("rules_file"))
    return found(shared_lake, resolve(shared_lake, rules=rules))


@pytest.fixture(scope="module")
def back(shared_lake: Lake, other: Found) -> Found:
    return found(shared_lake, resolve(shared_lake))


def test_an_undeclared_type_is_parked_and_counted_and_its_event_is_kept(shipped: Found, shared_lake: Lake) -> None:
    fay, fred = shipped.holder("login:fay"), shipped.holder("login:fred")
    assert fay != fred
    assert shipped.attributed["f1"] == fay
    assert shipped.attributed["f2"] == fred
    assert shipped.facts["links parked: undeclared identifier type"] == 2
    assert shipped.facts["identifiers of undeclared types"] == 1
    assert not any(name.startswith("fax") for held in shipped.people.values() for name in held)
    assert delta.read(shared_lake, EVENTS).where(F.col("event_id").isin("f1", "f2")).count() == 2


def test_a_value_on_the_blocklist_splits_what_it_had_joined(shipped: Found, other: Found) -> None:
    tom = shipped.holder("login:tom")
    assert shipped.holder("openid:tim") == shipped.holder("phone:test") == tom
    assert other.holder("login:tom") == tom
    assert other.holder("openid:tim") not in {tom, ""}
    assert other.holder("phone:test") == ""
    assert other.states_of("phone:test") == {"blocked: value on the blocklist": 2}
    assert other.facts["identifiers on the blocklist"] == 1


def test_a_lower_limit_parks_links_that_joined(shipped: Found, other: Found) -> None:
    assert shipped.states_of("phone:home") == {"used: joins": 1, "parked: unique value taken": 1}
    assert other.states_of("phone:home") == {"parked: super-node": 2}
    assert len({other.holder(name) for name in ("login:hans", "login:heidi", "phone:home")} - {""}) == 3


def test_a_type_that_is_taken_out_or_only_a_hint_joins_nobody(shipped: Found, other: Found) -> None:
    assert shipped.holder("cookie:cleo") == shipped.holder("login:cleo") == shipped.attributed["c2"]
    assert other.holder("cookie:cleo") == ""
    assert other.attributed["c2"] is None
    assert other.states_of("cookie:cleo") == {"parked: undeclared identifier type": 1}
    assert shipped.holder("unionid:una") == shipped.holder("phone:una")
    assert other.holder("unionid:una") not in {other.holder("phone:una"), ""}
    assert other.states_of("unionid:una") == {"parked: only a hint": 1}


@pytest.mark.thorough
def test_a_dry_run_foretells_the_run_and_writes_nothing(tried: dict[str, Any], other: Found, shared_lake: Lake) -> None:
    told = tried["told"]
    assert tried["before"] == tried["after"]
    assert told["would_be"] == other.facts["snapshot_id"]
    same = [name for name in told if name.startswith(("links ", "identifiers on", "identifiers of"))]
    assert {name: told[name] for name in (*same, "persons")} == {name: other.facts[name] for name in (*same, "persons")}
    # tim, one of hans and his phone, one of una's two; the test phone and a cookie are nobody's.
    assert (told["persons split off"], told["persons merged"], told["persons that resolve to another"]) == (3, 0, 0)
    assert told["identifiers that go to another person"] == 3
    assert told["identifiers that nobody holds any longer"] == 2
    assert told["persons that lose an identifier"] == 4
    assert sum(entry["identifiers"] for entry in told["examples"]) == 5
    splits = delta.read(shared_lake, PERSON_EVENTS).where("kind = 'split'").collect()
    assert len(splits) == 3
    assert "cookie: no longer declared" in told["differences"]


@pytest.mark.thorough
def test_the_former_rules_bring_everything_back(shipped: Found, other: Found, back: Found) -> None:
    assert (back.people, back.attributed, back.states) == (shipped.people, shipped.attributed, shipped.states)
    assert back.facts["snapshot_id"] == shipped.facts["snapshot_id"] != other.facts["snapshot_id"]
    assert back.facts["links new"] == other.facts["links new"] == 0


@pytest.mark.thorough
def test_a_snapshot_names_its_rules(back: Found, shared_lake: Lake) -> None:
    rows = delta.read(shared_lake, IDENTITY_SNAPSHOTS).orderBy("published_at").collect()
    first, second, third = (row.rule_version for row in rows)
    assert first == third != second
    assert {row.rule_version for row in delta.read(shared_lake, IDENTITY_LINKS).collect()} == {first}
