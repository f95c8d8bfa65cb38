"""Limits of bands that move, and timers of tags that have no row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from spark_jobs.tagging.answers import answer_kernel
from spark_jobs.tagging.calendar import micros
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.limits import Limits, Moved, moved_since, named
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan, compile_plan
from spark_jobs.tagging.rows import TIMER, UNMOVED
from tests.tag_histories import Life, Order, catalogue_of, definition, facts, local, moment

BASE = local("2018-01-01T00:00")
SINCE = local("2017-02-01T00:00")
BAND = {"measures": {"spent": {"sum": "purchases.sales_value"}, "band": {"quantile": "spent", "bands": 3}}}
TAGS = (
    definition("band", **BAND, levels=None, value="band", otherwise="none"),
    definition(
        "top", measures={"band": {"tag": "band"}}, levels=[{"value": "true", "when": {"band": {"equals": "3"}}}]
    ),
    definition("bought"),
    definition(
        "dormant",
        measures={"last": {"last": "purchases"}},
        levels=[{"value": "true", "when": {"last": {"older_than": "90 days"}}}],
    ),
)


@dataclass(frozen=True)
class Case:
    catalogue: Catalogue
    plan: Plan
    at: Moment

    def rows(self, lives: list[Life], limits: Limits, moved: Moved | None) -> list[dict[str, object]]:
        batches = facts(lives, self.plan, self.at).to_batches()
        kernel = answer_kernel(self.plan, self.at, limits, moved)
        return [row for given in kernel(batches) for row in given.to_pylist()]


def case(folder: Path) -> Case:
    catalogue = catalogue_of(folder, *TAGS)
    return Case(catalogue, compile_plan(catalogue), moment(BASE, catalogue))


def test_only_tags_whose_limits_moved_are_answered_under_the_old_ones(tmp_path: Path) -> None:
    one = case(tmp_path)
    (ranked,) = one.plan.ranked
    before: Limits = {ranked: (100, 200)}
    now: Limits = {ranked: (100, 300)}
    assert moved_since(named(before), before, one.plan) is None
    assert moved_since({}, now, one.plan) is None, "a quantile that is new has moved from nowhere"
    moved = moved_since(named(before), now, one.plan)
    assert moved is not None
    assert (moved.tags, moved.limits) == (frozenset({"band", "top"}), before)
    assert {tag.name for tag in moved.plan.tags} == {"band", "top"}

    lives = [Life(SINCE, [Order(BASE - timedelta(days=1), cents=cents)]) for cents in (50, 150, 250, 350)]
    numbers = {number: tag.name for number, tag in enumerate(one.plan.tags)}
    now_and_then: dict[bool, dict[tuple[str, int], str]] = {True: {}, False: {}}
    for row in one.rows(lives, now, moved):
        tag, is_then = row["tag"], row["tag"] <= UNMOVED  # type: ignore[operator]
        if tag != TIMER:
            name = numbers[UNMOVED - tag if is_then else tag]  # type: ignore[index,operator]
            now_and_then[is_then][name, row["person_no"]] = row["value"]  # type: ignore[index,assignment]
    bands = {
        name: {person: value for (tag, person), value in found.items() if tag == "band"}
        for name, found in now_and_then.items()
    }
    assert bands == {False: {0: "1", 1: "2", 2: "2", 3: "3"}, True: {0: "1", 1: "2", 2: "3", 3: "3"}}
    tops = {name: {person for tag, person in found if tag == "top"} for name, found in now_and_then.items()}
    assert tops == {False: {3}, True: {2, 3}}
    assert {tag for tag, _ in now_and_then[True]} == {"band", "top"}


def test_a_timer_names_what_waits_without_a_row(tmp_path: Path) -> None:
    one = case(tmp_path)
    (ranked,) = one.plan.ranked
    numbers = {tag.name: number for number, tag in enumerate(one.plan.tags)}
    near, long_ago = BASE - timedelta(days=10), BASE - timedelta(days=200)
    lives = [Life(SINCE, []), Life(SINCE, [Order(near)]), Life(SINCE, [Order(long_ago)])]
    timers = {
        row["person_no"]: (row["next_change_at"], row["waiting"])
        for row in one.rows(lives, {ranked: (1, 2)}, None)
        if row["tag"] == TIMER
    }
    due = micros(near + timedelta(days=90, hours=-1)) + 1  # clocks go forward in between
    assert timers == {1: (due, [{"tag": numbers["dormant"], "at": due}])}
