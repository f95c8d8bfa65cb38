"""Measures of one person as an explanation shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from spark_jobs.tagging.evidence import reasons_of
from spark_jobs.tagging.plan import compile_plan
from spark_jobs.tagging.told import measured_kernel
from tests.tag_histories import HEAD, Click, Life, Order, catalogue_of, definition, facts, local, moment

BASE = local("2018-01-01T00:00")
SINCE = local("2017-03-01T00:00")
HEAD_OF_ALL = {
    **HEAD,
    "manual": ["care"],
    "scores": ["churn"],
    "properties": {"price": {"type": "number", "decimals": 2}},
}
SPENT = {"sum": "purchases.net_value"}
CASES: dict[str, tuple[dict[str, object], dict[str, object], dict[str, str]]] = {
    "a sum in money": (
        {"spent": SPENT},
        {"spent": {"at_least": 5}},
        {"sum of purchases.net_value": "123.45"},
    ),
    "a ratio, undivided": (
        {"spent": SPENT, "orders": {"count": "purchases"}, "mean": {"ratio": ["spent", "orders"]}},
        {"mean": {"at_least": 5}},
        {"sum of purchases.net_value": "123.45", "count of purchases": "2", "ratio": "123.45 / 2"},
    ),
    "a moment": (
        {"last": {"last": "purchases"}},
        {"last": {"older_than": "9 days"}},
        {"last of purchases": "2017-12-20T15:00:00+00:00"},
    ),
    "limits of filters as people write them": (
        {"dear": {"count": "events", "where": {"price": {"above": 9.5}, "name": {"not_in": ["a", "b"]}}}},
        {"dear": {"at_least": 1}},
        {"count of events, name not_in a or b, price above 9.5": "1"},
    ),
    "absent and looked up": (
        {"care": {"manual": "care"}, "churn": {"score": "churn"}, "age": {"attribute": "age"}},
        {"any": [{"care": {"equals": "x"}}, {"churn": {"above": 0.5}}, {"age": {"equals": "65+"}}]},
        {"manual care": "absent", "score churn": "0.7000", "attribute age": "65+"},
    ),
}
LIFE = Life(
    SINCE,
    [Order(local("2017-12-01T10:00"), cents=2_345), Order(local("2017-12-20T10:00"), cents=10_000)],
    [Click(local("2017-12-30T10:00"), amount=1_000), Click(local("2017-12-30T11:00"), amount=950)],
    {"age": "65+"},
    {("score", "churn"): 7_000},
)


def told(folder: Path, life: Life, **changed: object) -> dict[str, str]:
    found = catalogue_of(folder, definition("a", **changed), head=HEAD_OF_ALL)
    plan, at = compile_plan(found), moment(BASE, found)
    batches = measured_kernel(plan, at, {}, found.head)(facts([life], plan, at).to_batches())
    return {row["measure"]: row["value"] for batch in batches for row in batch.to_pylist()}


@pytest.mark.parametrize("case", CASES)
def test_a_measure_is_told(tmp_path: Path, case: str) -> None:
    measures, when, wanted = CASES[case]
    assert told(tmp_path, LIFE, measures=measures, levels=[{"value": "true", "when": when}]) == wanted


def test_what_history_leaves_open_is_told_as_bounds(tmp_path: Path) -> None:
    """Who registered before history is complete may have bought more."""
    early = Life(local("2014-05-01T00:00"), LIFE.orders)
    assert told(tmp_path, early, among="customers") == {"count of purchases": "2 to open"}
    assert told(tmp_path, LIFE) == {"count of purchases": "2"}


def test_every_selection_of_rows_has_its_reasons(tmp_path: Path) -> None:
    used = definition("used", among="customers", measures={"n": {"count": "purchases", "window": "30 days"}})
    used["levels"] = [{"value": "true", "when": {"n": {"at_least": 1}}}]
    user = definition(
        "user", measures={"t": {"tag": "used"}}, levels=[{"value": "y", "when": {"t": {"equals": "true"}}}]
    )
    reasons = reasons_of(catalogue_of(tmp_path, used, user))
    told = {(one.source, str(one.window)): names for one, names in reasons.items()}
    assert told == {
        ("members", "None"): ("registration",),
        ("purchases", "None"): ("customer",),
        ("purchases", "30 days"): ("used: count of purchases, 30 days",),
    }
