"""Questions about tags that were published; one lake of two publications serves all of them."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.core import ORDERS
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_DRIFT, TAG_PUBLICATIONS
from spark_jobs.errors import TerminalError
from spark_jobs.questions import explain_job, history_job, persons
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import asking, check, diff_job, estimate_job, job
from tests.spark.test_tag_job import DORMANT, SINCE, arguments
from tests.tag_histories import HEAD, Click, Life, Order, definition, local, write_catalogue
from tests.tag_identity import named, write_identity
from tests.tag_tables import add, order_row, settings_of, token, write_lives

FIRST, SECOND = "2018-01-01T05:00:00+00:00", "2018-01-04T05:00:00+00:00"  # the bases, midnights of New York
LIVES = {
    0: Life(
        SINCE,
        [Order(local("2017-12-01T10:00"), cents=5_000), Order(local("2017-12-20T10:00"), cents=2_000, by="device")],
        [Click(local("2017-12-30T10:00"))],
    ),
    1: Life(SINCE),
    2: Life(SINCE, [Order(local("2017-03-01T10:00"), cents=100)]),
    3: Life(SINCE, [Order(local("2017-10-05T10:00"), cents=9_000)]),
}
VISITS = {
    "measures": {"days": {"days": "events", "where": {"terminal": "pc"}, "window": "7 days"}},
    "levels": [{"value": "true", "when": {"days": {"at_least": 1}}}],
}
HALF = {
    "measures": {"spent": {"sum": "purchases.sales_value"}, "half": {"quantile": "spent", "bands": 2}},
    "levels": None,
    "value": "half",
    "otherwise": "none",
}
LOYAL = {
    "measures": {"bought": {"tag": "bought"}, "days": {"days": "purchases"}},
    "levels": [{"value": "true", "when": {"bought": {"equals": "true"}, "days": {"at_least": 2}}}],
}
CARED = {"class": "health"}


@dataclass(frozen=True)
class Story:
    """The lake after two publications, and the folder of the definitions that the second went by."""

    lake: Lake
    tags: Path

    def ask(self, verb: ModuleType, **given: Any) -> dict[str, Any]:
        args = Namespace(**{"workspace": "grocery", "catalogue": self.tags, **given})
        settings = settings_of(self.lake)
        verb.preflight(settings, args)
        answer: dict[str, Any] = verb.run(self.lake.spark, settings, args)
        return answer


@pytest.fixture(scope="module")
def story(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("questions")
    lake, tags = Lake(spark, str(folder / "lake")), folder / "tags"
    shared = (definition("dormant", **DORMANT), definition("visits", **VISITS), definition("half", **HALF))
    cared, loyal = definition("cared", **CARED), definition("loyal", **LOYAL)
    write_lives(lake, LIVES)
    write_identity(lake, list(LIVES))
    write_catalogue(tags, definition("bought"), *shared, cared, head=HEAD)
    job.run(spark, settings_of(lake), arguments(tags))
    write_catalogue(tags, definition("bought"), *shared, cared, loyal, head=HEAD)
    add(lake, ORDERS, [order_row(1, 0, Order(local("2017-12-22T10:00"), cents=3_000))])
    job.run(spark, settings_of(lake), arguments(tags, "2018-01-04T00:00"))
    return Story(lake, tags)


@pytest.fixture
def no_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searching paths is most of what an explanation costs."""
    monkeypatch.setattr(persons, "MOST_PATHS", 0)


def test_a_tag_is_explained_by_its_facts_and_by_who_brought_them(story: Story) -> None:
    found = story.ask(explain_job, person=named("member_no", 0), tag="bought")
    wanted = {"agrees": True, "person_id": "p0", "level": "true", "since": FIRST, "cause": "first", "publication": 2}
    assert {key: found[key] for key in wanted} == wanted
    assert (found["base_at"], found["next_change_at"], found["snapshot_id"]) == (SECOND, None, "snapshot-1")
    assert set(found["watermark"]) == {"core.members", "core.orders"}
    assert found["measures"] == [{"measure": "count of purchases", "value": "2"}]
    assert (found["facts_counted"], found["facts_left_out"]) == ({"members": 1, "purchases": 2}, 0)
    facts = [(fact["source"], fact["id"], fact["at"], fact["identifier"]) for fact in found["facts"]]
    assert facts == [
        ("purchases", "0/1/1", "2017-12-20T15:00:00+00:00", named("device", 0)),
        ("purchases", "0/0/1", "2017-12-01T15:00:00+00:00", named("member_no", 0)),
        ("members", "test/0", "2017-02-01T05:00:00+00:00", named("member_no", 0)),
    ]
    assert [fact["counted_for"] for fact in found["facts"]] == [
        ["bought: count of purchases"],
        ["bought: count of purchases"],
        ["registration"],
    ]
    number, device = found["identity"]
    assert (number["facts"], number["steps"], number["path"]) == (2, 0, [])
    assert (device["facts"], device["steps"]) == (1, 1)
    (step,) = device["path"]
    assert (step["from"], step["to"]) == (named("member_no", 0), named("device", 0))
    assert [one["event_id"] for one in step["evidence"]] == ["login-0"]


@pytest.mark.parametrize(
    ("person", "tag", "wanted"),
    [
        pytest.param(3, "dormant", ("true", SECOND, "time"), id="aged"),
        pytest.param(1, "bought", ("true", SECOND, "events"), id="an order that came"),
        pytest.param(1, "visits", ("false", FIRST, "first"), id="never changed: since the tag is there"),
        pytest.param(0, "half", ("2", SECOND, "limits"), id="a band whose limit moved"),
        pytest.param(0, "loyal", ("true", SECOND, "first"), id="a tag that looks at a tag"),
    ],
)
@pytest.mark.usefixtures("no_paths")
def test_level_and_since_when(story: Story, person: int, tag: str, wanted: tuple[str, str, str]) -> None:
    found = story.ask(explain_job, person=named("device", person), tag=tag)
    assert (found["level"], found["since"], found["cause"]) == wanted
    assert found["agrees"] is True


@pytest.mark.usefixtures("no_paths")
def test_measures_are_told_with_filters_windows_and_tags_that_are_looked_at(story: Story) -> None:
    visits = story.ask(explain_job, person=named("device", 0), tag="visits")
    assert visits["measures"] == [{"measure": "days of events, terminal in pc, 7 days", "value": "1"}]
    assert [fact["id"] for fact in visits["facts"] if fact["source"] == "events"] == ["e0/0"]
    assert visits["next_change_at"] is not None
    loyal = story.ask(explain_job, person=named("device", 0), tag="loyal")
    told = {one["measure"]: one["value"] for one in loyal["measures"]}
    assert told == {"tag bought": "true", "days of purchases": "2"}


def test_of_a_sensitive_tag_nothing_is_told_but_that_it_follows(story: Story) -> None:
    found = story.ask(explain_job, person=named("device", 3), tag="cared")
    assert (found["withheld"], found["agrees"]) == (["health"], True)
    assert not {"level", "measures", "facts", "identity", "cause", "next_change_at"} & set(found)


def test_what_does_not_follow_is_refused(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persons, "holds", lambda held: F.lit(False))
    with pytest.raises(TerminalError, match=r"does not follow from its evidence: published is .*'true'.*'false'"):
        story.ask(explain_job, person=named("device", 0), tag="bought")
    monkeypatch.undo()
    with pytest.raises(TerminalError, match="has no tag 'baught'; it has: bought, cared"):
        story.ask(explain_job, person=named("device", 0), tag="baught")
    with pytest.raises(TerminalError, match="was never seen"):
        story.ask(explain_job, person=named("device", 99), tag="bought")


def test_only_rows_of_the_person_are_read(story: Story) -> None:
    held = [persons.Held(0, "", token("device", 0), "", "", is_for_good=True)]
    rows = story.lake.spark.read.format("delta").load(story.lake.path_of(ORDERS)).where(persons.holds(held))
    assert [row["order_id"] for row in rows.collect()] == ["0/1"]
    story.lake.spark.conf.set("spark.sql.maxMetadataStringLength", "1000")
    physical = rows._jdf.queryExecution().executedPlan().toString()
    story.lake.spark.conf.unset("spark.sql.maxMetadataStringLength")
    pushed = re.search(r"PushedFilters: \[.*(EqualTo|In)\(subject_token", physical)
    assert pushed, "row groups are passed over where they lie"


def test_an_estimate_says_what_publishing_would_do_and_publishes_nothing(story: Story, tmp_path: Path) -> None:
    twice = [{"value": "true", "when": {"orders": {"at_least": 2}}}]
    bought = definition("bought", levels=twice, expect={"true": [0.5, 1]})
    new = definition("new", levels=[{"value": "true", "when": {"orders": {"at_least": 1}}}])
    cared = definition("cared", expect={"true": [0, 0.1]})  # of a class in force, though not by this definition
    write_catalogue(tmp_path, bought, new, cared, definition("half", **HALF), head=HEAD)
    before = delta.current_version(story.lake, PERSON_TAGS)
    base = {"base": "2018-01-04T00:00", "day": None, "as_of": None, "catalogue": tmp_path}
    found = story.ask(estimate_job, tags=["bought", "cared", "new"], **base)
    tags = {one["tag"]: one for one in found["tags"]}
    assert set(tags) == {"bought", "cared", "new"}, "others are not computed"
    assert tags["bought"]["change"] == "rule"
    assert tags["bought"]["values"] == [
        {"value": "false", "persons": 3, "share": "0.7500", "entered": 3, "left": 0},
        {"value": "true", "persons": 1, "share": "0.2500", "entered": 0, "left": 3},
    ]
    assert tags["bought"]["sample"] == [{"person_id": "p0", "value": "true"}]
    assert tags["new"]["change"] == "new"
    assert tags["new"]["values"] == [
        {"value": "true", "persons": 4, "share": "1.0000"},
        {"value": "false", "persons": 0, "share": "0.0000"},
    ]
    cared_keys = {"tag", "state", "rule", "change", "classes", "leaves_bands"}
    assert (set(tags["cared"]), tags["cared"]["classes"]) == (cared_keys, ["health"])
    assert (found["persons"], found["against"], found["rows"]) == (4, 2, {"members": 4, "purchases": 5})
    assert found["refused"] == [
        "tag 'bought': 'true' has a share of 0.2500, wanted 0.5 to 1",
        "tag 'cared' (health) left its bands",
    ]
    assert {"facts", "answers", "difference"} <= set(found["seconds"])
    assert delta.read(story.lake, TAG_PUBLICATIONS).count() == 2
    assert delta.current_version(story.lake, PERSON_TAGS) == before
    assert not delta.exists(story.lake, TAG_DRIFT)
    with pytest.raises(TerminalError, match="found no definitions of baught; those that exist: bought, cared"):
        story.ask(estimate_job, tags=["baught"], **base)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param("previous", "latest", id="names"),
        pytest.param("1", "2", id="numbers"),
        pytest.param("2018-01-02", "2018-01-04", id="days"),
    ],
)
def test_a_difference_counts_who_entered_and_who_left(story: Story, a: str, b: str) -> None:
    found = story.ask(diff_job, a=a, b=b)
    assert (found["a"]["number"], found["b"]["number"], found["left_out"]) == (1, 2, 1)
    counts = {
        (one["tag"], value["value"]): (value["entered"], value["left"])
        for one in found["tags"]
        for value in one["values"]
    }
    assert counts == {
        ("bought", None): (0, 1),
        ("bought", "true"): (1, 0),
        ("dormant", None): (0, 1),
        ("dormant", "true"): (1, 0),
        ("half", None): (0, 1),
        ("half", "1"): (1, 1),
        ("half", "2"): (1, 0),
        ("loyal", None): (0, 1),
        ("loyal", "true"): (1, 0),
    }
    assert [(one["tag"], one["change"]) for one in found["definitions"]] == [("loyal", "added")]


def test_states_are_named_in_their_order(story: Story) -> None:
    assert story.ask(diff_job, a="snapshot-1", b="latest")["tags"] == [], "the last state of a snapshot"
    with pytest.raises(TerminalError, match="name the earlier one first"):
        story.ask(diff_job, a="latest", b="previous")
    with pytest.raises(TerminalError, match="no state of the tags of grocery is '2017-12-31'"):
        story.ask(diff_job, a="2017-12-31", b="latest")


def test_a_history_tells_every_value_with_its_cause(story: Story) -> None:
    found = story.ask(history_job, person=named("member_no", 0), tag="half")
    assert (found["person_id"], found["otherwise"], found["known_since"]) == ("p0", "none", FIRST)
    told = [(one["publication"], one["old_value"], one["new_value"], one["cause"]) for one in found["changes"]]
    assert told == [(1, None, "1", "first"), (2, "1", "2", "limits")]
    assert [one["base_at"] for one in found["changes"]] == [FIRST, SECOND]
    never = story.ask(history_job, person=named("member_no", 1), tag="dormant")
    assert (never["changes"], never["changes_left_out"]) == ([], 0)
    with pytest.raises(TerminalError, match="is of class health"):
        story.ask(history_job, person=named("member_no", 3), tag="cared")


def test_what_was_published_meanwhile_is_left_out_of_an_answer(story: Story) -> None:
    workspace = settings_of(story.lake).workspace("grocery")
    states = [asking.named(story.lake, text, workspace) for text in ("previous", "latest")]
    told = [asking.changes_of(story.lake, state, "half", person_no=0).collect() for state in states]
    assert [sorted(row["state_version"] for row in rows) for rows in told] == [[1], [1, 2]]


def test_a_tag_in_use_cannot_be_removed(story: Story, tmp_path: Path) -> None:
    export = {"export": "win_back", "workspace": "grocery", "columns": ["dormant"]}
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports" / "win_back.yaml").write_text(json.dumps(export))
    tags = write_catalogue(tmp_path / "tags", definition("bought"), definition("dormant", state="draft", **DORMANT))
    with_exports = replace(settings_of(story.lake), exports_dir=tmp_path / "exports")
    asked = Namespace(workspace="grocery", catalogue=tags, in_force=True)
    in_use = "'dormant' is used by export win_back"
    with pytest.raises(TerminalError, match=in_use):
        job.run(story.lake.spark, with_exports, arguments(tags, "2018-01-05T00:00"))
    assert check.preflight(with_exports, asked) is None
    with pytest.raises(TerminalError, match=in_use):
        check.run(story.lake.spark, with_exports, asked)
    told = check.run(story.lake.spark, settings_of(story.lake), asked)
    assert (told["against"], told["removed"]) == (2, ["cared", "dormant", "half", "loyal", "visits"])
    assert delta.read(story.lake, TAG_PUBLICATIONS).count() == 2
