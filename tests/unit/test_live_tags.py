"""Which tags are live follows from their definitions, and so does what is asked of each event."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.live.plan import live_plan
from spark_jobs.tagging.check import SHIPPED
from spark_jobs.tagging.live import MOST_WHERES, live_tags
from spark_jobs.tagging.reading import read_catalogue
from tests.tag_histories import HEAD, catalogue_of, definition, local, moment

HEAD_OF_TESTS = {**HEAD, "properties": {"price": {"type": "number", "decimals": 2}, "page": {"type": "text"}}}


def tag(measure: dict[str, object], **changed: object) -> dict[str, object]:
    levels = [{"value": "true", "when": {"m": {"present": True}}}]
    return definition("made", **{"among": "everyone", "measures": {"m": measure}, "levels": levels, **changed})


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(tag({"count": "events"}), id="a count of all time"),
        pytest.param(
            tag({"count": "events", "window": "30 days", "where": {"name": "view"}}), id="in days, with a filter"
        ),
        pytest.param(tag({"count": "events", "window": "36 hours"}, among="members"), id="in hours, of members"),
        pytest.param(tag({"last": "events", "where": {"terminal": {"not_in": ["pc"]}}}), id="a last moment"),
        pytest.param(
            tag({"recency": "events", "window": "60 days"}, levels=None, value="m"), id="a recency as the value"
        ),
    ],
)
def test_counts_lasts_and_recencies_of_events_are_live(given: dict[str, object], tmp_path: Path) -> None:
    found = live_tags(catalogue_of(tmp_path, given, head=HEAD_OF_TESTS))
    assert ([one.name for one in found.catalogue.tags], found.others) == (["made"], {})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        pytest.param(tag({"count": "purchases"}), "purchases: events alone come live", id="another source"),
        pytest.param(tag({"count": "events"}, among="customers"), "customer", id="of customers"),
        pytest.param(tag({"days": "events"}), "days: count, last and recency are live", id="another measure"),
        pytest.param(tag({"count": "events", "window": "2 months"}), "a month is short", id="a window of months"),
        pytest.param(
            tag({"last": "events"}, levels=[{"value": "true", "when": {"m": {"within": "3 months"}}}]),
            "a month is short",
            id="an age in months",
        ),
        pytest.param(tag({"count": "events", "where": {"page": "x"}}), "page: of properties", id="a text property"),
        pytest.param(
            tag({"count": "events", "where": {"price": {"above": 1}}}), "price: of properties", id="a number property"
        ),
    ],
)
def test_all_others_say_why_they_wait_for_the_batch(given: dict[str, object], why: str, tmp_path: Path) -> None:
    found = live_tags(catalogue_of(tmp_path, given, head=HEAD_OF_TESTS))
    assert found.catalogue.tags == ()
    assert why in found.others["made"]


def test_a_tag_that_looks_at_tags_is_live_where_they_are(tmp_path: Path) -> None:
    seen = {"measures": {"n": {"count": "events"}}, "levels": [{"value": "true", "when": {"n": {"at_least": 1}}}]}
    looks = {"among": "everyone", "levels": [{"value": "true", "when": {"t": {"equals": "true"}}}]}
    catalogue = catalogue_of(
        tmp_path,
        definition("seen", among="everyone", **seen),
        definition("bought"),
        definition("a_seen", measures={"t": {"tag": "seen"}}, **looks),
        definition("a_bought", measures={"t": {"tag": "bought"}}, **looks),
    )
    found = live_tags(catalogue)
    assert [one.name for one in found.catalogue.tags] == ["seen", "a_seen"]
    assert "'bought', which is not live" in found.others["a_bought"]


def test_where_events_are_not_recorded_nothing_is_live(tmp_path: Path) -> None:
    catalogue = catalogue_of(tmp_path, tag({"count": "events"}), head={**HEAD, "history": {"events": "none"}})
    assert live_tags(catalogue).others == {"made": "events are not recorded"}


def test_more_filters_than_there_are_bits_leave_the_last_tags_to_the_batch(tmp_path: Path) -> None:
    names = [f"t{number:03d}" for number in range(MOST_WHERES + 2)]
    levels = [{"value": "true", "when": {"m": {"at_least": 1}}}]
    tags = [
        definition(name, among="everyone", levels=levels, measures={"m": {"count": "events", "where": {"name": name}}})
        for name in names
    ]
    found = live_tags(catalogue_of(tmp_path, *tags))
    assert len(found.wheres) == MOST_WHERES
    assert sorted(found.others) == names[MOST_WHERES:]
    plan = live_plan(catalogue_of(tmp_path, *tags), moment(local("2018-01-01T00:00"), found.catalogue))
    assert plan is not None
    assert plan.mask_of({"name": names[MOST_WHERES - 1]}) == 1 << (MOST_WHERES - 1)


def test_an_event_passes_the_filters_that_its_fields_pass(tmp_path: Path) -> None:
    levels = [{"value": "true", "when": {"a": {"at_least": 1}, "b": {"at_least": 1}}}]
    measures = {
        "a": {"count": "events", "where": {"name": ["view", "cart"]}, "window": "2 days"},
        "b": {"count": "events", "where": {"name": "view", "terminal": {"not_in": ["pc"]}}},
    }
    catalogue = catalogue_of(tmp_path, definition("made", among="everyone", measures=measures, levels=levels))
    plan = live_plan(catalogue, moment(local("2018-01-01T00:00"), catalogue))
    assert plan is not None
    assert plan.names == ("cart", "view")
    first, second = (plan.bit_of(one.where) for one in plan.selections)
    assert plan.mask_of({"name": "view", "terminal": "pc"}) == first
    assert plan.mask_of({"name": "view", "terminal": None}) == first | second  # who has no terminal is not on a pc
    assert plan.mask_of({"name": "buy", "terminal": "mobile"}) == 0


@pytest.mark.parametrize(("workspace", "some"), [("grocery", set()), ("retail", {"here_now"})])
def test_every_shipped_tag_is_live_or_says_why_not(workspace: str, some: set[str]) -> None:
    catalogue = read_catalogue(SHIPPED / workspace).without_drafts
    found = live_tags(catalogue)
    names = {one.name for one in found.catalogue.tags}
    assert names | set(found.others) == {one.name for one in catalogue.tags}
    assert some <= names
