"""Unmerge, join, lock and withdraw: recorded once, held by every run and rebuild, and undone to what was before."""

from __future__ import annotations

from argparse import Namespace
from types import ModuleType
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_jobs.contracts.identity import IDENTITY_DECISIONS, PERSON_EVENTS
from spark_jobs.errors import TerminalError
from spark_jobs.identity import explain_job, join_job, lock_job, unmerge_job, why_not_job, withdraw_job
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from tests.spark.identity_found import Found, found
from tests.spark.identity_rows import event, identifier, put, resolve, seen_by_readers, settings

pytestmark = pytest.mark.thorough

AT_FIRST = [
    # Two persons of several identifiers, whose own links are weaker than those that will join them.
    event("e1", 0, "phone:eve", "openid:eve", "device:e1"),
    event("e2", 1, "phone:eva", "openid@app2:eva", "device:e2"),
    # Two who are one, as somebody knows.
    event("j1", 2, "login:joe", "device:j1"),
    event("j2", 3, "phone:joe", "device:j2"),
    # Two who cannot be one.
    event("m1", 4, "member_no:1", "device:m1"),
    event("m2", 5, "member_no:2", "device:m2"),
    # Somebody who will be locked.
    event("l1", 6, "login:liz", "phone:liz", "device:l1"),
    event("l2", 7, "openid:other", "device:l2"),
]
# Two links at once join eve and eva.
MERGE = [event("e3", 20, "login:eve", "phone:eve", "phone:eva"), event("e4", 21, "login:eve", "openid@app2:eva")]
# What would join the locked person, or leave it.
AT_THE_LOCKED = [
    event("l3", 30, "phone:liz", "openid:other"),
    event("l4", 31, "login:liz", "device:l9"),
    event("l5", 32, "login:new", "device:l1"),
]


def by_token(name: str) -> str:
    kind, scope, token, _ = identifier(name)
    return f"{kind}@{scope}:token:{token.hex()}"


def ask(lake: Lake, job: ModuleType, **given: Any) -> dict[str, Any]:
    usual = {"author": "a reviewer", "reason": "looked at it", "no_run": False, "rules": None, "known_at": None}
    args = Namespace(**{**usual, **given})
    job.preflight(settings(lake), args)
    answer: dict[str, Any] = job.run(lake.spark, settings(lake), args)
    return answer


def survivors_by_events(lake: Lake, after: Found) -> dict[str, str]:
    """Who resolves to whom, from merges, splits and moves alone; who is in none of them lives."""
    survivors = {person: person for person in after.survivors}
    for row in delta.read(lake, PERSON_EVENTS).orderBy("system_from", "person_id").collect():
        survivors[row.person_id] = row.to_person_id
    return survivors


@pytest.fixture(scope="module")
def shared_lake(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return Lake(spark, str(tmp_path_factory.mktemp("decisions") / "lake"))


@pytest.fixture(scope="module")
def before(shared_lake: Lake) -> Found:
    put(shared_lake, AT_FIRST, [])
    return found(shared_lake, resolve(shared_lake))


@pytest.fixture(scope="module")
def merged(shared_lake: Lake, before: Found) -> Found:
    put(shared_lake, MERGE)
    return found(shared_lake, resolve(shared_lake))


@pytest.fixture(scope="module")
def unmerged(shared_lake: Lake, before: Found, merged: Found) -> tuple[dict[str, Any], Found]:
    eve, eva = before.holder("phone:eve"), before.holder("phone:eva")
    told = ask(shared_lake, unmerge_job, a=eve, b=eva, scope="persons")
    return told, found(shared_lake, {})


@pytest.fixture(scope="module")
def joined(shared_lake: Lake, unmerged: object) -> tuple[dict[str, Any], Found]:
    told = ask(shared_lake, join_job, a=by_token("phone:joe"), b=by_token("login:joe"))
    return told, found(shared_lake, {})


@pytest.fixture(scope="module")
def locked(shared_lake: Lake, joined: object) -> tuple[dict[str, Any], Found]:
    told = ask(shared_lake, lock_job, person=by_token("login:liz"))
    put(shared_lake, AT_THE_LOCKED)
    return told, found(shared_lake, resolve(shared_lake))


def test_an_unmerge_gives_both_their_former_ids_and_all_that_was_theirs(
    before: Found, merged: Found, unmerged: tuple[dict[str, Any], Found]
) -> None:
    told, after = unmerged
    eve, eva = before.holder("phone:eve"), before.holder("phone:eva")
    assert eve != eva
    assert merged.holder("phone:eve") == merged.holder("phone:eva") == eve
    assert (told["recorded"], told["done"]) == (True, True)
    assert after.survivors[eve] == eve
    assert after.survivors[eva] == eva
    for person in (eve, eva):
        assert after.people[person] >= before.people[person]
    assert {name: after.attributed[name] for name in ("e1", "e2")} == {"e1": eve, "e2": eva}


def test_an_unmerge_survives_a_rebuild_and_is_told_with_its_author(
    before: Found, unmerged: tuple[dict[str, Any], Found], shared_lake: Lake
) -> None:
    told, after = unmerged
    seen = seen_by_readers(shared_lake)
    again = resolve(shared_lake, rebuild=True)
    assert (again["map rows opened"], again["registry rows changed"]) == (0, 0)
    assert seen_by_readers(shared_lake) == seen
    answer = ask(shared_lake, why_not_job, a=before.holder("phone:eve"), b=before.holder("phone:eva"))
    authors = {one["author"] for entry in answer["decisions"] for one in entry["evidence"] if one["kind"] == "negative"}
    assert authors == {"a reviewer"}
    splits = delta.read(shared_lake, PERSON_EVENTS).where("kind = 'split'").collect()
    assert {row.person_id for row in splits} == {before.holder("phone:eva")}
    assert after.facts == {}
    assert told["run"]["changed"] is True


def test_a_decision_that_is_repeated_stands_once(unmerged: object, before: Found, shared_lake: Lake) -> None:
    rows = delta.read(shared_lake, IDENTITY_DECISIONS).count()
    told = ask(
        shared_lake,
        unmerge_job,
        a=before.holder("phone:eva"),
        b=before.holder("phone:eve"),
        scope="persons",
        no_run=True,
    )
    assert (told["was_recorded"], told["done"]) == (True, False)
    assert delta.read(shared_lake, IDENTITY_DECISIONS).count() == rows


def test_a_join_holds_what_nothing_shows(
    before: Found, joined: tuple[dict[str, Any], Found], shared_lake: Lake
) -> None:
    told, after = joined
    assert before.holder("login:joe") != before.holder("phone:joe")
    assert after.holder("login:joe") == after.holder("phone:joe") == before.holder("login:joe")
    assert told["done"] is True
    answer = ask(shared_lake, explain_job, a=by_token("login:joe"), b=by_token("phone:joe"))
    (step,) = answer["path"]
    assert [(one["kind"], one["event_id"], one["author"]) for one in step["evidence"]] == [
        ("join", told["decision_id"], "a reviewer")
    ]


def test_a_join_that_breaks_a_rule_is_refused_with_the_reason(joined: object, before: Found, shared_lake: Lake) -> None:
    rows = delta.read(shared_lake, IDENTITY_DECISIONS).count()
    with pytest.raises(TerminalError, match="both hold a value of member_no@grocery, and nobody may hold two"):
        ask(shared_lake, join_job, a=by_token("member_no:1"), b=by_token("member_no:2"))
    with pytest.raises(TerminalError, match="a decision keeps the two apart"):
        ask(shared_lake, join_job, a=before.holder("phone:eve"), b=before.holder("phone:eva"))
    with pytest.raises(TerminalError, match="already; nothing was recorded"):
        ask(shared_lake, join_job, a=by_token("login:joe"), b=by_token("device:j1"))
    with pytest.raises(TerminalError, match="is a device"):
        ask(shared_lake, join_job, a=by_token("login:joe"), b=by_token("device:m1"))
    assert delta.read(shared_lake, IDENTITY_DECISIONS).count() == rows


def test_a_locked_person_neither_gains_nor_loses(
    before: Found, locked: tuple[dict[str, Any], Found], shared_lake: Lake
) -> None:
    told, after = locked
    liz = before.holder("login:liz")
    assert told["done"] is True
    assert after.people[liz] == before.people[liz]
    assert after.holder("openid:other") == before.holder("openid:other") != liz
    assert after.holder("device:l9") not in {liz, ""}
    assert after.holder("login:new") not in {liz, ""}
    assert after.facts["links parked: person is locked"] == 3
    with pytest.raises(TerminalError, match=f"locked by decision {told['decision_id']}"):
        ask(shared_lake, join_job, a=by_token("login:liz"), b=by_token("phone:eva"))


def test_what_was_seen_decides_again_when_decisions_are_withdrawn(
    before: Found,
    unmerged: tuple[dict[str, Any], Found],
    locked: tuple[dict[str, Any], Found],
    shared_lake: Lake,
) -> None:
    ask(shared_lake, withdraw_job, decision=unmerged[0]["decision_id"], no_run=True)
    told = ask(shared_lake, withdraw_job, decision=locked[0]["decision_id"])
    after, liz = found(shared_lake, {}), before.holder("login:liz")
    assert told["done"] is True
    assert after.holder("phone:eva") == after.holder("phone:eve") == before.holder("phone:eve")
    assert after.holder("openid:other") == after.holder("device:l9") == liz
    assert survivors_by_events(shared_lake, after) == after.survivors
    with pytest.raises(TerminalError, match="was withdrawn already"):
        ask(shared_lake, withdraw_job, decision=locked[0]["decision_id"], reason="once more")
