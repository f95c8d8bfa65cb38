"""Who refuses profiling: the kernels answer nothing of them but the tag that says so, and count them in no band."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.tagging.answers import answer_kernel, bucket_kernel
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.left_out import LeftOut, left_out_of
from spark_jobs.tagging.limits import moved_since, named
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan, compile_plan
from spark_jobs.tagging.rows import PERSONS, REFUSES, TIMER, UNMOVED
from spark_jobs.tagging.versions import state_from, state_of, tables_read
from tests.tag_histories import Life, Order, catalogue_of, definition, facts, local, moment

BASE = local("2018-01-01T00:00")
SINCE = local("2017-02-01T00:00")
SPENT = {"measures": {"spent": {"sum": "purchases.sales_value"}, "band": {"quantile": "spent", "bands": 2}}}
SAYS_NO = {
    "measures": {"said": {"attribute": "age"}},
    "levels": [{"value": "true", "when": {"said": {"equals": "no"}}}],
}
TAGS = (
    definition("band", **SPENT, levels=None, value="band", otherwise="none"),
    definition("bought"),
    definition(
        "dormant",
        measures={"last": {"last": "purchases"}},
        levels=[{"value": "true", "when": {"last": {"older_than": "90 days"}}}],
    ),
    definition("said_no", **SAYS_NO),
    # Of another tag, so that this one has to be answered first.
    definition(
        "refuses", measures={"no": {"tag": "said_no"}}, levels=[{"value": "true", "when": {"no": {"equals": "true"}}}]
    ),
)
RECENT = [Order(BASE - timedelta(days=10), cents=500)]
LIVES = [
    Life(SINCE, RECENT),
    Life(SINCE, RECENT, attributes={"age": "no"}),  # refuses by the tag
    Life(SINCE, RECENT),  # refuses by a note
    Life(SINCE, [Order(BASE - timedelta(days=20), cents=100)], attributes={"age": "65+"}),
]


@dataclass(frozen=True)
class Case:
    catalogue: Catalogue
    plan: Plan
    at: Moment

    def answers(self, left_out: LeftOut | None) -> list[dict[str, Any]]:
        (ranked,) = self.plan.ranked
        before, now = {ranked: (1,)}, {ranked: (2,)}
        moved = moved_since(named(before), now, self.plan)
        kernel = answer_kernel(self.plan, self.at, now, moved, left_out=left_out)
        batches = facts(LIVES, self.plan, self.at).to_batches()
        return [row for batch in kernel(batches) for row in batch.to_pylist()]

    def buckets(self, left_out: LeftOut | None) -> dict[int, int]:
        """Persons of each quantile, and of PERSONS."""
        found: dict[int, int] = {}
        for batch in bucket_kernel(self.plan, self.at, left_out)(facts(LIVES, self.plan, self.at).to_batches()):
            for row in batch.to_pylist():
                found[row["ranked"]] = found.get(row["ranked"], 0) + row["persons"]
        return found


@pytest.fixture
def case(tmp_path: Path) -> Case:
    catalogue = catalogue_of(tmp_path, *TAGS)
    return Case(catalogue, compile_plan(catalogue), moment(BASE, catalogue))


def test_nothing_is_answered_of_who_refuses_but_the_tag_that_says_so(case: Case) -> None:
    number = {tag.name: n for n, tag in enumerate(case.plan.tags)}
    rows = case.answers(left_out_of(case.catalogue, "refuses", [2]))
    by_person = {
        person: {row["tag"] for row in rows if row["person_no"] == person and row["tag"] != TIMER}
        for person in range(4)
    }
    everything = {number["band"], number["bought"], UNMOVED - number["band"]}
    assert by_person == {
        0: everything,
        1: {number["refuses"], REFUSES},  # nor the tag that this one is made of
        2: {REFUSES},
        3: everything,
    }
    assert {row["person_id"] for row in rows if row["tag"] == REFUSES} == {"p1", "p2"}
    assert {row["person_no"] for row in rows if row["tag"] == TIMER} == {0, 3}, "time changes nothing of them"


def test_without_refusals_rows_are_as_they_were(case: Case) -> None:
    assert left_out_of(case.catalogue, "", []) is None
    rows = case.answers(None)
    assert {row["person_no"] for row in rows if row["tag"] == TIMER} == {0, 1, 2, 3}
    assert not [row for row in rows if row["tag"] == REFUSES]
    nobody = left_out_of(case.catalogue, "", [99])
    assert case.answers(nobody) == rows


def test_who_refuses_stands_in_no_bucket_of_a_quantile(case: Case) -> None:
    assert case.buckets(None) == {PERSONS: 4, 0: 4}
    assert case.buckets(left_out_of(case.catalogue, "refuses", [2])) == {PERSONS: 4, 0: 2}


@pytest.mark.parametrize(
    ("tag", "said"),
    [("no_such", "publishes no tag 'no_such', .*nobody's refusal"), ("band", "goes by bands of a quantile")],
)
def test_a_refusal_tag_must_be_there_and_known_before_all_others(case: Case, tag: str, said: str) -> None:
    with pytest.raises(TerminalError, match=said):
        left_out_of(case.catalogue, tag, [])


def test_who_refuses_is_part_of_the_version_and_of_the_state(case: Case) -> None:
    stamps = dict.fromkeys(tables_read(case.plan.sources), "1@x")
    nobody, one, other = (
        state_of(case.catalogue, case.at, snapshot_id="s", stamps=stamps, refusals=text) for text in ("", "1 a", "1 b")
    )
    assert "refusals" not in nobody.as_facts(), "a state of a release before the word is the same state"
    assert [state_from(state.as_facts()) for state in (nobody, one)] == [nobody, one]
    assert len({state.tags["bought"].version for state in (nobody, one, other)}) == 3
    assert len({state.tags["bought"].basis for state in (nobody, one, other)}) == 1, "data are what they were"
