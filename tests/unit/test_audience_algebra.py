"""Audiences of random persons: the bitmaps' answer is the slow one's, unknown included; changes fold to the state."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spark_jobs.audiences.definitions import (
    UNKNOWN,
    AllOf,
    AnyOf,
    Audience,
    Expression,
    IsKnown,
    IsOneOf,
    IsWithin,
    LeastOf,
    Member,
    NotOf,
    Settled,
)
from spark_jobs.audiences.pieces import BEFORE
from spark_jobs.contracts.audiences import PERSONS, REFUSED
from spark_jobs.people.bitmaps import by_chunk, packed
from tests.audience_worlds import TAGS, Values, answer, answers, audience, build_of, evaluated, whole

VALUES = {
    "stage": ("new", "old", UNKNOWN),
    "orders": ("1", "2", "30", UNKNOWN, "many"),
    "open": ("true", "false"),
    "refuses": ("true",),
}
held = st.fixed_dictionaries({}, optional={tag: st.sampled_from(values) for tag, values in VALUES.items()})
worlds = st.dictionaries(st.integers(0, 60), held, min_size=1, max_size=40)
kinds = st.sampled_from(("at_least", "above", "at_most", "below"))
bounds = st.dictionaries(kinds, st.integers(0, 31).map(Decimal), min_size=1, max_size=2)
leaves = st.one_of(
    st.lists(st.sampled_from(("new", "old", "none")), min_size=1, max_size=2, unique=True).map(
        lambda values: IsOneOf("stage", tuple(values))
    ),
    st.sampled_from(("true", "false")).map(lambda value: IsOneOf("open", (value,))),
    bounds.map(lambda found: IsWithin("orders", tuple(sorted(found.items())))),
    st.tuples(st.sampled_from(("stage", "orders", "open")), st.booleans()).map(lambda pair: IsKnown(*pair)),
)


def branches(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    parts = st.lists(inner, min_size=1, max_size=4).map(tuple)
    return st.one_of(
        parts.map(AllOf),
        parts.map(AnyOf),
        parts.flatmap(lambda found: st.integers(1, len(found)).map(lambda least: LeastOf(least, found))),
        inner.map(NotOf),
        st.tuples(inner, st.booleans()).map(lambda pair: Settled(*pair)),
    )


expressions: st.SearchStrategy[Expression] = st.recursive(leaves, branches, max_leaves=8)


def two(first: Expression, second: Expression) -> tuple[Audience, ...]:
    """One audience, and another that speaks of it."""
    return whole(audience("a", first), audience("b", AnyOf((second, NotOf(Member("a"))))))


def states(rows: list[dict[str, object]]) -> dict[str, frozenset[int]]:
    return {str(row["audience"]): row["members"] for row in rows if row["kind"] == "state"}  # type: ignore[misc]


def bitmaps(found: dict[str, frozenset[int]]) -> pa.Table:
    rows = [
        {"part": BEFORE + name, "chunk": chunk, "members": packed(members)}
        for name, persons in found.items()
        for chunk, members in by_chunk(pa.array(sorted(persons), pa.int64()).to_numpy())
    ]
    schema = pa.schema([("part", pa.string()), ("chunk", pa.int64()), ("members", pa.binary())])
    return pa.Table.from_pylist(rows, schema=schema)


@settings(max_examples=150, deadline=None)
@given(world=worlds, first=expressions, second=expressions)
def test_bitmaps_give_the_answer_of_one_person_after_the_other(
    world: Values, first: Expression, second: Expression
) -> None:
    made = two(first, second)
    rows = evaluated(build_of(made), world)
    wanted = answers(made, world)
    found = states(rows)
    unknown = {row["audience"]: row["unknown"] for row in rows if row["kind"] == "state"}
    for one in made:
        said = wanted[one.name]
        assert found.get(one.name, frozenset()) == {person for person, is_in in said.items() if is_in}
        assert unknown.get(one.name, 0) == list(said.values()).count(None)
    refusing = {person for person, values in world.items() if values.get("refuses") == "true"}
    assert found.get(REFUSED, frozenset()) == refusing
    assert found.get(PERSONS, frozenset()) == set(world) - refusing


@settings(max_examples=60, deadline=None)
@given(worlds, worlds, expressions, st.booleans())
def test_changes_lead_from_one_state_to_the_next_and_nobody_changes_twice(
    before: Values, after: Values, members: Expression, is_redefined: bool
) -> None:
    old, new = two(members, members), two(members, IsKnown("stage", wanted=True))
    was = states(evaluated(build_of(old), before))
    redefined = ("b",) if is_redefined else ()
    rows = evaluated(build_of(new, ("a", "b"), redefined), after, bitmaps(was))
    now = states(rows)
    for name in ("a", "b"):
        persons = set(was.get(name, ()))
        for row in (row for row in rows if row["audience"] == name and row["kind"] != "state"):
            moved: frozenset[int] = row["members"]  # type: ignore[assignment]
            if row["kind"] == "enter":
                assert not persons & moved
                persons |= moved
            else:
                assert persons >= moved
                persons -= moved
            assert row["cause"] in {"refusal", "identity", "definition" if name in redefined else "tags"}
        assert persons == now.get(name, frozenset())


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        pytest.param(NotOf(IsOneOf("stage", ("new",))), None, id="not of unknown is unknown"),
        pytest.param(NotOf(Settled(IsOneOf("stage", ("new",)), unknown_is=False)), True, id="unless it is said"),
        pytest.param(Settled(NotOf(IsOneOf("stage", ("new",))), unknown_is=False), False, id="certain is asked last"),
        pytest.param(Settled(IsOneOf("stage", ("new",)), unknown_is=True), True, id="possible"),
        pytest.param(AllOf((IsOneOf("stage", ("new",)), IsOneOf("open", ("true",)))), False, id="no and unknown: no"),
        pytest.param(AnyOf((IsOneOf("stage", ("new",)), IsOneOf("open", ("false",)))), True, id="yes or unknown: yes"),
        pytest.param(IsKnown("stage", wanted=False), True, id="known is never unknown"),
        pytest.param(
            LeastOf(2, (IsOneOf("stage", ("new",)), IsOneOf("open", ("false",)), IsOneOf("orders", ("1",)))),
            None,
            id="two of three hang on the unknown one",
        ),
    ],
)
def test_unknown_is_not_false(expression: Expression, wanted: bool | None) -> None:
    values = {"stage": UNKNOWN, "open": "false"}
    assert answer(expression, values, {}) is wanted
    rows = evaluated(build_of(whole(audience("a", expression))), {7: values})
    (row,) = [row for row in rows if row["audience"] == "a" and row["kind"] == "state"] or [{}]
    assert (row.get("members", frozenset()), row.get("unknown", 0)) == (
        frozenset({7} if wanted else ()),
        int(wanted is None),
    )


def test_causes_of_coming_and_going() -> None:
    made = whole(audience("a", IsOneOf("stage", ("new",))), audience("b", IsOneOf("stage", ("old", "none"))))
    old = {1: {"stage": "new"}, 2: {"stage": "new"}, 3: {"stage": "new"}, 4: {"stage": "new", "refuses": "true"}}
    was = states(evaluated(build_of(made[:1]), old))
    new = {1: {"stage": "new", "refuses": "true"}, 2: {}, 4: {"stage": "new"}, 5: {"stage": "new"}}
    rows = evaluated(build_of(made, ("a", "gone"), ("gone",)), new, bitmaps({**was, "gone": frozenset({2})}))
    found = {(row["audience"], row["kind"], row["cause"]): row["members"] for row in rows if row["kind"] != "state"}
    assert found == {
        ("a", "exit", "refusal"): {1},
        ("a", "exit", "tags"): {2},
        ("a", "exit", "identity"): {3},
        ("a", "enter", "refusal"): {4},
        ("a", "enter", "identity"): {5},
        ("b", "enter", "first"): {2},
        ("gone", "exit", "definition"): {2},
    }


def test_whoever_refuses_by_the_value_of_those_without_a_row_refuses() -> None:
    made = whole(audience("a", IsKnown("stage", wanted=True)))
    # `stage` says `none` of whom it has no row; a tag that says `true` of them refuses for them.
    build = build_of(made)
    tags = {**build.questions.tags, "refuses": replace(TAGS["refuses"], otherwise="true")}
    build = replace(build, questions=replace(build.questions, tags=tags))
    rows = evaluated(build, {1: {"refuses": "false"}, 2: {}})
    assert states(rows) == {"a": {1}, PERSONS: {1}, REFUSED: {2}}
