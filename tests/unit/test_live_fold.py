"""Live answers are the batch's: whatever comes twice, late or in another order, wherever a batch or a restart lies."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.live.answering import LiveAnswers, live_answers
from services.live.counting import PersonRows
from services.live.plan import LivePlan, live_plan
from services.live.records import EVENT_WIDTH, NO_IDENT, REGISTRATION_WIDTH, Rows, nothing, packed, unpacked, with_fresh
from spark_jobs.tagging.calendar import micros, moment_of
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.moment import NEVER
from tests.live_histories import Event, base_rows, batch_answers, is_late, later, live_catalogue
from tests.tag_histories import local, moment

PERSONS = 3
BASE = local("2018-01-10T00:00")
DAY = 24 * 60
# Minutes from the batch's base time: around the edges of windows, late events, and events that are dated ahead.
MINUTES = st.one_of(
    st.integers(-45 * DAY, 3 * DAY),
    st.sampled_from([-DAY * n + shift for n in (30, 20, 5, 7, 1, 0) for shift in (-1, 0, 1)]),
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, PERSONS - 1),
        MINUTES,
        st.sampled_from(["view", "cart", "buy"]),
        st.sampled_from(["pc", "mobile"]),
    ),
    max_size=14,
)
REGISTERED = st.dictionaries(st.integers(0, PERSONS - 1), st.integers(-60 * DAY, 3 * DAY), max_size=PERSONS)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return live_catalogue(tmp_path_factory.mktemp("live"))


@pytest.fixture(scope="module")
def plan(catalogue: Catalogue) -> LivePlan:
    found = live_plan(catalogue, moment(BASE, catalogue))
    assert found is not None
    assert len(found.tags.catalogue.tags) == len(catalogue.tags)
    return found


def events_of(drawn) -> list[Event]:
    return [
        Event(f"e{number}", person, later(BASE, minutes), name, terminal)
        for number, (person, minutes, name, terminal) in enumerate(drawn)
    ]


def registrations(registered: dict[int, datetime], person: int) -> Rows:
    if person not in registered:
        return nothing(REGISTRATION_WIDTH)
    at = micros(registered[person])
    return np.array([[at, at + 1, NEVER]], dtype=np.int64)


class Folded:
    """What a store would hold of all persons: facts of the batch, and live events, packed between any two steps."""

    def __init__(self, base: list[Event], plan: LivePlan) -> None:
        self.plan = plan
        self.base = base_rows(base, plan, PERSONS)
        self.live = [packed(nothing(EVENT_WIDTH))] * PERSONS

    def take(self, events: list[Event]) -> None:
        """One step: events in the order in which they came."""
        for person in range(PERSONS):
            mine = [one.row(self.plan) for one in events if one.person == person and not is_late(one, self.plan)]
            fresh = np.array([row for row in mine if row[2]], dtype=np.int64).reshape(-1, EVENT_WIDTH)
            held = unpacked(self.live[person], EVENT_WIDTH)
            self.live[person] = packed(with_fresh(self.base[person], held, fresh))

    def answers(self, registered: dict[int, datetime], at: datetime) -> LiveAnswers:
        rows = [
            PersonRows(self.base[person], registrations(registered, person), unpacked(self.live[person], EVENT_WIDTH))
            for person in range(PERSONS)
        ]
        return live_answers(rows, self.plan, micros(at))


@settings(deadline=None, max_examples=150)
@given(drawn=EVENTS, registered=REGISTERED, after=st.integers(0, 40 * DAY), data=st.data())
def test_live_answers_are_those_of_the_batch_at_the_same_watermark(
    catalogue: Catalogue, plan: LivePlan, drawn, registered, *, after: int, data
) -> None:
    events = events_of(drawn)
    since = {person: later(BASE, minutes) for person, minutes in registered.items()}
    order = data.draw(st.permutations(events))
    watermark = data.draw(st.integers(0, len(order)), label="what the batch had taken in")
    start = data.draw(st.integers(0, watermark), label="where the topic is read from: too early does no harm")
    repeated = data.draw(st.lists(st.sampled_from(order), max_size=5)) if order else []
    stream = [*order[start:], *repeated, *repeated]
    cut = data.draw(st.integers(0, len(stream)), label="where the service was killed, and began a step too early")
    state = Folded(order[:watermark], plan)
    for part in (stream[:cut], stream[max(0, cut - 2) :]):
        state.take(part)
    as_of = later(BASE, after)
    known = {one.event_id: one for one in order[:watermark]}
    known |= {one.event_id: one for one in stream if not is_late(one, plan)}
    wanted = batch_answers(catalogue, list(known.values()), since, persons=PERSONS, base=as_of)
    assert state.answers(since, as_of).values == wanted


@settings(deadline=None, max_examples=100)
@given(drawn=EVENTS, registered=REGISTERED, split=st.integers(0, 14), first=st.integers(0, 30 * DAY), data=st.data())
def test_no_answer_changes_by_time_before_the_moment_that_was_told(
    plan: LivePlan, drawn, registered, *, split: int, first: int, data
) -> None:
    events = events_of(drawn)
    since = {person: later(BASE, minutes) for person, minutes in registered.items()}
    state = Folded(events[:split], plan)
    state.take(events[split:])
    before = state.answers(since, later(BASE, first))
    for person, told in enumerate(before.next_at):
        until = min(told, micros(later(BASE, 60 * DAY)))
        now = micros(later(BASE, first))
        assert told > now
        moments = [until - 1, data.draw(st.integers(now, until - 1))]
        for at in moments:
            again = state.answers(since, moment_of(at)).values
            assert {name: values[person] for name, values in again.items()} == {
                name: values[person] for name, values in before.values.items()
            }


def test_one_event_more_than_a_window_ago_is_out_to_the_microsecond(plan: LivePlan) -> None:
    state = Folded([], plan)
    state.take([Event("e1", 0, BASE, "view"), Event("e2", 0, BASE, "cart")])
    thirty = BASE + timedelta(days=30)
    assert state.answers({}, thirty).values["views"][0] == "some"
    assert state.answers({}, thirty + timedelta(microseconds=1)).values["views"][0] is None
    assert state.answers({}, BASE).values["views"][0] is None, "what happens at the base time is not before it"
    assert state.answers({}, BASE).next_at[0] == micros(BASE) + 1


def test_what_is_older_than_every_window_is_one_row_and_cannot_be_mistaken_for_an_event(plan: LivePlan) -> None:
    old = [Event(f"old{n}", 0, BASE - timedelta(days=40, hours=n), "cart") for n in range(5)]
    (rows, *_) = base_rows(old, plan, PERSONS)
    assert rows.shape == (1, EVENT_WIDTH)
    assert rows[0].tolist()[1:] == [NO_IDENT, plan.mask_of({"name": "cart", "terminal": "pc"}), 5]
    state = Folded(old, plan)
    assert state.answers({0: BASE - timedelta(days=400)}, BASE).values["ever"][0] == "true"


def test_a_registration_counts_from_when_it_was_until_its_record_ends(plan: LivePlan) -> None:
    carts = base_rows([Event(f"e{n}", 0, BASE - timedelta(days=1), "cart") for n in range(2)], plan, 1)[0]
    begins, ends = micros(BASE) + 100, micros(BASE) + 200
    record = np.array([[begins - 1, begins, ends]], dtype=np.int64)
    found = []
    for at in (begins - 1, begins, ends - 1, ends):
        given = live_answers([PersonRows(carts, record, nothing(EVENT_WIDTH))], plan, at)
        found.append((given.values["ever"][0], given.next_at[0]))
    assert [value for value, _ in found] == [None, "true", "true", None]
    assert [at for _, at in found[:3]] == [begins, ends, ends]
