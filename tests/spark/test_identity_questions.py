"""`resolve`, `explain` and `why-not`: who it is, why two are one, and why two are not; one lake, two runs."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from pyspark.sql import SparkSession

from spark_jobs.errors import TerminalError
from spark_jobs.identity import explain_job, resolve_job, why_not_job
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import published_snapshot
from tests.spark.identity_found import Found, found
from tests.spark.identity_rows import NOON, event, identifier, put, resolve, settings

pytestmark = pytest.mark.thorough

AT_FIRST = [
    event("a1", 0, "login:ann", "phone:ann"),
    event("a2", 1, "phone:ann", "openid:ann"),
    # Two who turn out to be one.
    event("e1", 2, "login:eve", "device:e1"),
    event("e2", 3, "phone:eve", "openid:eve"),
    # Two on one phone: it is the first one's.
    event("h1", 4, "login:hans", "phone:home"),
    event("h2", 5, "login:heidi", "phone:home"),
    # Five on one phone: it is nobody's.
    *[event(f"k{n}", 10 + n, f"member_no:1{n}", "phone:hotline") for n in range(5)],
    # One device, two people after each other.
    event("t1", 20, "login:tv-ann", "device:tv"),
    event("t2", 30, "login:tv-ann", "device:tv"),
    event("t3", 40, "login:tv-bob", "device:tv"),
]
LATER = [event("e3", 50, "login:eve", "phone:eve")]


@dataclass(frozen=True)
class Story:
    """The lake after two runs, what each left, and when the first was published."""

    lake: Lake
    before: Found
    after: Found
    first_at: str

    def ask(self, job: ModuleType, **given: Any) -> dict[str, Any]:
        nothing = {"known_at": None, "scope": None, "at": None}
        args = Namespace(**{**nothing, **given})
        job.preflight(settings(self.lake), args)
        answer: dict[str, Any] = job.run(self.lake.spark, settings(self.lake), args)
        return answer


def by_token(name: str) -> str:
    """`type:value` as the command line takes it without a key."""
    kind, scope, token, _ = identifier(name)
    return f"{kind}@{scope}:token:{token.hex()}"


@pytest.fixture(scope="module")
def story(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Story:
    lake = Lake(spark, str(tmp_path_factory.mktemp("questions") / "lake"))
    put(lake, AT_FIRST, [])
    before = found(lake, resolve(lake))
    first_at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=published_snapshot(lake).at_us)
    put(lake, LATER)
    return Story(lake, before, found(lake, resolve(lake)), first_at.isoformat())


def test_a_path_tells_the_links_and_the_events_that_showed_them(story: Story) -> None:
    answer = story.ask(explain_job, a=by_token("login:ann"), b=by_token("openid:ann"))
    assert (answer["joined"], answer["steps"]) == (True, 2)
    assert answer["person_id"] == story.after.holder("login:ann")
    assert [step["from"] for step in answer["path"]] == [by_token("login:ann"), by_token("phone:ann")]
    assert [step["to"] for step in answer["path"]] == [by_token("phone:ann"), by_token("openid:ann")]
    assert [one["event_id"] for step in answer["path"] for one in step["evidence"]] == ["a1", "a2"]
    assert answer["path"][0]["evidence"][0]["first_seen_at"] == "2017-11-01T12:00:00.000000Z"


def test_two_ids_that_merged_are_explained_by_the_link_that_joined_them(story: Story) -> None:
    older, younger = story.before.holder("login:eve"), story.before.holder("phone:eve")
    answer = story.ask(explain_job, a=younger, b=older)
    assert (answer["joined"], answer["person_id"], answer["steps"]) == (True, older, 1)
    (step,) = answer["path"]
    assert (step["from"], step["to"]) == (by_token("phone:eve"), by_token("login:eve"))
    assert [one["event_id"] for one in step["evidence"]] == ["e3"]
    # As it was known before: two persons.
    assert story.ask(explain_job, a=younger, b=older, known_at=story.first_at)["joined"] is False


def test_a_parked_link_says_why_two_are_not_one(story: Story) -> None:
    answer = story.ask(why_not_job, a=by_token("login:hans"), b=by_token("login:heidi"))
    assert (answer["joined"], answer["reasons"]) == (False, {"parked: unique value taken": 1})
    (link,) = answer["links"]
    assert {link["from"], link["to"]} == {by_token("login:heidi"), by_token("phone:home")}
    assert (link["by_way_of"], [one["event_id"] for one in link["evidence"]]) == (None, ["h2"])
    assert answer["persons"] == [story.after.holder("login:hans"), story.after.holder("login:heidi")]


def test_what_leads_by_way_of_a_third_is_found_too(story: Story) -> None:
    answer = story.ask(why_not_job, a=by_token("member_no:10"), b=by_token("member_no:11"))
    assert answer["reasons"] == {"parked: super-node": 2}
    assert {link["by_way_of"] for link in answer["links"]} == {by_token("phone:hotline")}
    nothing = story.ask(why_not_job, a=by_token("member_no:10"), b=by_token("login:ann"))
    assert (nothing["reasons"], nothing["links"], nothing["decisions"]) == ({}, [], [])
    assert story.ask(why_not_job, a=by_token("login:ann"), b=by_token("phone:ann"))["joined"] is True


def test_a_shared_device_is_whose_it_was_at_the_moment(story: Story) -> None:
    kind, scope, token, _ = identifier("device:tv")
    value = {"type": kind, "value": f"token:{token.hex()}", "scope": scope}
    (whole,) = story.ask(resolve_job, **value)["answers"]
    ann, bob = story.after.holder("login:tv-ann"), story.after.holder("login:tv-bob")
    assert [span["person_id"] for span in whole["held_by"]] == [ann, bob]
    assert whole["links"] == {"parked: shared by several persons": 2}
    for minutes, holders in ((25, [ann]), (35, []), (40, [bob])):
        at = (NOON + timedelta(minutes=minutes)).isoformat()
        (answer,) = story.ask(resolve_job, **value, at=at)["answers"]
        assert [span["person_id"] for span in answer["held_by"]] == holders, minutes


def test_an_id_and_an_identifier_resolve_as_known_now_and_then(story: Story) -> None:
    older, younger = story.before.holder("login:eve"), story.before.holder("phone:eve")
    now = story.ask(resolve_job, type="person", value=younger)
    assert (now["survivor_id"], now["is_living"]) == (older, False)
    then = story.ask(resolve_job, type="person", value=younger, known_at=story.first_at)
    assert (then["survivor_id"], then["is_living"]) == (younger, True)
    value = {"type": "phone", "value": f"token:{identifier('phone:eve')[2].hex()}"}
    assert story.ask(resolve_job, **value)["answers"][0]["held_by"][0]["person_id"] == older
    before = story.ask(resolve_job, **value, known_at=story.first_at)
    assert before["answers"][0]["held_by"][0]["person_id"] == younger


def test_what_was_never_seen_is_said_so(story: Story) -> None:
    assert story.ask(resolve_job, type="phone", value=f"token:{'ef' * 16}")["seen"] == 0
    with pytest.raises(TerminalError, match="the phone that was given was never seen"):
        story.ask(explain_job, a=f"phone:token:{'ef' * 16}", b=by_token("login:ann"))
    with pytest.raises(TerminalError, match="no person has the id"):
        story.ask(why_not_job, a="0f4b8a2e-6c1d-4b0a-9a55-7c8f2e9d3b16", b=by_token("login:ann"))
    with pytest.raises(TerminalError, match="no identity snapshot was published by then"):
        story.ask(resolve_job, type="phone", value=f"token:{'ef' * 16}", known_at="2001-01-01T00:00:00+00:00")
