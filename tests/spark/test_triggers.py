"""Triggers: what becomes of carts and orders at their edges, each once, whoever runs beside whom."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from pyspark.sql import Row

from spark_jobs.contracts.core import EVENTS, ORDERS
from spark_jobs.contracts.identity import IDENTITY_MAP, IDENTITY_SNAPSHOTS, PERSONS
from spark_jobs.contracts.journeys import ORDER_CHANGES
from spark_jobs.contracts.triggers import TRIGGER_RUNS, TRIGGERS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.people.refusals import noted
from spark_jobs.settings import ProfileSettings, Settings
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.triggers import job, publication, send_job
from spark_jobs.triggers.control import number_of, threshold
from spark_jobs.triggers.definitions import HOUR
from spark_jobs.triggers.moments import micros_of
from spark_jobs.triggers.reading import triggers_of
from tests.tag_histories import Order, local
from tests.tag_tables import EVER, SNAPSHOT, add, map_rows, order_row, settings_of, snapshot, token
from tests.trigger_rows import CART, ORDER, cart_event, merged_into, order_step, says_refuse, write_triggers

AT = local("2018-01-10T12:00")
TICK = timedelta(microseconds=1)
MINUTE = timedelta(minutes=1)
OLDER = AT - 25 * HOUR
NOBODY = {"control": {"share": 0, "salt": "s"}}
NIGHT = local("2018-01-10T23:00")
STRANGER = 20

State = dict[str, tuple[str, str]]


def decide(lake: Lake, folder: Path, at: datetime, settings: Settings | None = None) -> dict[str, Any]:
    given = argparse.Namespace(workspace="grocery", triggers=folder, at=at.isoformat())
    return dict(job.run(lake.spark, settings or settings_of(lake), given))


def claim(lake: Lake, folder: Path, at: datetime) -> int:
    settings = settings_of(lake)
    work = send_job.Work(lake, settings, settings.workspace("grocery"), triggers_of(folder, "grocery"))
    return send_job._claim(work, at_us=micros_of(at), run_id=f"send-{micros_of(at)}")


def states(lake: Lake) -> State:
    """object to state and reason."""
    rows = publication.states(lake, "grocery", at_us=micros_of(AT)).collect()
    assert len(rows) == len({row["object_id"] for row in rows}), "each cart and order has one wait here"
    return {row["object_id"]: (row["state"], row["reason"]) for row in rows}


def step(lake: Lake, object_id: str) -> Row:
    rows = publication.states(lake, "grocery", at_us=micros_of(AT)).where(f"object_id = '{object_id}'").collect()
    return rows[0]


def people(lake: Lake, *persons: int) -> None:
    add(lake, IDENTITY_MAP, [row for person in persons for row in map_rows(person, EVER)])
    add(lake, IDENTITY_SNAPSHOTS, [snapshot(SNAPSHOT, local("2018-01-02T00:00"))])


def edges(lake: Lake) -> None:
    """Carts and orders that stand at an edge at AT, named for it."""
    people(lake, *range(STRANGER))
    day, older = AT - 24 * HOUR, OLDER
    carts = [
        cart_event(0, "ripe", day),
        cart_event(1, "green", day + TICK),
        cart_event(2, "bought in time", older),
        cart_event(3, "bought at the end", older),
        cart_event(4, "bought before", older),
        cart_event(5, "cleared", older),
        cart_event(5, "cleared", AT - 30 * MINUTE, name="clear_cart"),
        cart_event(6, "oldest", older - 2 * HOUR),
        cart_event(6, "older", older - HOUR),
        cart_event(6, "third", older),
        cart_event(7, "touched again", older),
        cart_event(7, "touched again", AT - HOUR, number=1),
        cart_event(8, "forgotten", AT - timedelta(days=5)),
        cart_event(STRANGER, "of nobody", older),
        cart_event(9, "", older),
    ]
    add(lake, EVENTS, carts)
    # No step tells that the order of person 14 was paid; the order itself does.
    bought = [(2, AT - HOUR - TICK), (3, AT - HOUR), (4, older - TICK), (14, AT - 3 * HOUR)]
    add(lake, ORDERS, [order_row(person, 0, Order(at)) for person, at in bought])
    steps = [
        order_step(10, "a", AT - 2 * HOUR),
        order_step(11, "b", AT - 3 * HOUR),
        order_step(11, "b", AT - 30 * MINUTE, change="paid"),
        order_step(12, "c", AT - 3 * HOUR),
        order_step(12, "c", AT - 2 * HOUR, change="paid"),
        order_step(13, "d", AT - 2 * HOUR + TICK),
        order_step(14, "14/0", AT - 3 * HOUR),
    ]
    add(lake, ORDER_CHANGES, steps)


def test_carts_and_orders_at_their_edges(lake: Lake, tmp_path: Path) -> None:
    folder = write_triggers(tmp_path / "t", {**CART, **NOBODY}, {**ORDER, **NOBODY})
    edges(lake)
    facts = decide(lake, folder, AT)
    first = {
        "cart/ripe": ("due", ""),
        "cart/bought at the end": ("cancelled", "ended"),
        "cart/bought before": ("due", ""),
        "cart/cleared": ("cancelled", "ended"),
        "cart/oldest": ("due", ""),
        "cart/older": ("due", ""),
        "cart/third": ("held", "cap"),
        "event/add_to_cart/9//0": ("due", ""),
        "order/a/1": ("due", ""),
        "order/b/1": ("cancelled", "ended"),
    }
    assert states(lake) == first
    assert (facts["steps"], facts["nobody"], facts["refused"]) == (len(first), 1, 0)
    ripe = step(lake, "cart/ripe")
    assert (ripe["person_id"], ripe["cause_event_ids"]) == ("p0", ["add_to_cart/0/ripe/0"])
    assert step(lake, "cart/cleared")["ended_by"] == "clear_cart/5/cleared/0"

    versions = [delta.current_version(lake, table) for table in (TRIGGERS, TRIGGER_RUNS)]
    assert decide(lake, folder, AT)["steps"] == 0
    assert [delta.current_version(lake, table) for table in (TRIGGERS, TRIGGER_RUNS)] == versions, "nothing is written"
    later(lake, folder, {name for name, (state, _) in first.items() if state == "due"})


def later(lake: Lake, folder: Path, due: set[str]) -> None:
    """One is bought before anything was sent, one after."""
    add(lake, ORDERS, [order_row(0, 1, Order(AT + MINUTE))])
    assert decide(lake, folder, AT + 2 * MINUTE)["steps"] == 3  # with green and d, which came of age
    assert states(lake)["cart/ripe"] == ("cancelled", "ended")
    assert claim(lake, folder, AT + 3 * MINUTE) == 7
    add(lake, ORDERS, [order_row(4, 1, Order(AT + 4 * MINUTE))])
    decide(lake, folder, AT + 5 * MINUTE)
    assert claim(lake, folder, AT + 6 * MINUTE) == 0
    sent = {name for name, state in states(lake).items() if state == ("sent", "")}
    assert sent == due - {"cart/ripe"} | {"cart/green", "order/d/1"}
    # The cap holds until it is too late; what was sent or cancelled stays so.
    facts = decide(lake, folder, OLDER + timedelta(days=4))
    assert {one["reason"]: one["count"] for one in facts["decided"]} == {"too_late": 1, "": 1}
    assert states(lake)["cart/third"] == ("cancelled", "too_late")
    assert states(lake)["cart/touched again"] == ("due", "")


def test_a_night_holds_what_came_of_age_until_the_morning(lake: Lake, tmp_path: Path) -> None:
    folder = write_triggers(tmp_path / "t", {**CART, **NOBODY})
    people(lake, 0, 1, 2)
    late = NIGHT - 24 * HOUR
    add(lake, EVENTS, [cart_event(person, f"c{person}", late - person * MINUTE) for person in (0, 1)])
    add(lake, EVENTS, [cart_event(2, "by day", late - 4 * HOUR)])
    add(lake, ORDERS, [])
    decide(lake, folder, NIGHT - 3 * HOUR)
    assert states(lake) == {"cart/by day": ("due", "")}
    assert claim(lake, folder, NIGHT) == 0, "what was decided by day does not leave at night"
    decide(lake, folder, NIGHT)
    assert set(states(lake).values()) == {("held", "quiet")}
    morning = local("2018-01-11T09:00")
    assert {step(lake, f"cart/c{n}")["held_until"].astimezone(UTC) for n in (0, 1)} == {morning}
    add(lake, ORDERS, [order_row(1, 0, Order(NIGHT + MINUTE))])
    add(lake, EVENTS, [cart_event(2, "by day", NIGHT, number=1)])
    assert decide(lake, folder, morning - TICK)["decided"] == [
        {"trigger": "cart_24h", "state": "cancelled", "reason": "ended", "count": 1},
        {"trigger": "cart_24h", "state": "held", "reason": "active", "count": 1},
    ]
    decide(lake, folder, morning)
    wanted = {"cart/c0": ("due", ""), "cart/c1": ("cancelled", "ended"), "cart/by day": ("held", "active")}
    assert states(lake) == wanted

    # Another wait is another trigger: what was open of the old one is closed.
    write_triggers(folder, {**CART, **NOBODY, "after": "90 hours"})
    decide(lake, folder, morning + MINUTE)
    assert {name: reason for name, (_, reason) in states(lake).items()} == {
        "cart/c0": "withdrawn",
        "cart/c1": "ended",
        "cart/by day": "withdrawn",
    }


def test_of_two_runs_at_once_one_counts_and_what_a_dead_one_wrote_does_not(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_triggers(tmp_path / "t", {**CART, **NOBODY})
    people(lake, 0, 1)
    add(lake, EVENTS, [cart_event(0, "a", AT - 24 * HOUR), cart_event(1, "b", AT - 24 * HOUR)])
    add(lake, ORDERS, [])
    publish = publication.publish

    def after_another_run(*given: Any, **named: Any) -> None:
        monkeypatch.setattr(publication, "publish", publish)
        add(lake, ORDERS, [order_row(1, 0, Order(AT))])  # what the other run sees is not quite what this one saw
        decide(lake, folder, AT + MINUTE)
        publish(*given, **named)

    monkeypatch.setattr(publication, "publish", after_another_run)
    with pytest.raises(RetryableError, match="another run published beside this one"):
        decide(lake, folder, AT)
    assert states(lake) == {"cart/a": ("due", ""), "cart/b": ("cancelled", "ended")}
    with pytest.raises(TerminalError, match="before the last decision"):
        decide(lake, folder, AT)

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publication, "publish", dies)
    with pytest.raises(KeyboardInterrupt):
        claim(lake, folder, AT + 2 * MINUTE)
    assert states(lake)["cart/a"] == ("due", "")
    monkeypatch.setattr(publication, "publish", publish)
    assert claim(lake, folder, AT + 3 * MINUTE) == 1
    assert states(lake)["cart/a"] == ("sent", "")
    rows = delta.read(lake, TRIGGERS).select("number", "generation").distinct().collect()
    assert sorted(row["number"] for row in rows) == [1, 2], "nothing is left of the runs that lost or died"


def note_refusals(path: Path, *persons: int) -> None:
    """The store of the profile API, with a note of each person's device."""
    store = sqlalchemy.create_engine(f"sqlite:///{path}")
    with store.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE refusals (subject BLOB, kind TEXT, noted_at TEXT)"))
        for person in persons:
            note = {"subject": token("device", person)}
            connection.execute(sqlalchemy.text("INSERT INTO refusals VALUES (:subject, 'token', '')"), note)
    store.dispose()


def test_a_control_group_that_outlives_a_merge_and_persons_who_refuse(lake: Lake, tmp_path: Path) -> None:
    share = {"share": 0.5, "salt": "half"}
    folder = write_triggers(tmp_path / "t", {**CART, "control": share}, {**ORDER, "control": share})
    persons = range(30)
    people(lake, *persons)
    # Somebody whose device belongs to p0 since a merge.
    merged = [{**row, "person_id": "p0", "person_no": 0} for row in map_rows(30, EVER)]
    add(lake, IDENTITY_MAP, merged)
    add(lake, EVENTS, [cart_event(person, f"c{person}", AT - 25 * HOUR) for person in (*persons, 30)])
    add(lake, ORDERS, [])
    note_refusals(tmp_path / "profiles.sqlite", 3, 4)
    # By the tag two: p5, and an id that was merged into p6 since the tag was computed.
    says_refuse(lake, "p5", "p31")
    add(lake, PERSONS, [merged_into("p31", "p6")])
    settings = replace(
        settings_of(lake), profiles=ProfileSettings(f"sqlite:///{tmp_path}/profiles.sqlite", "", "refuses")
    )
    facts = decide(lake, folder, AT, settings)
    assert (facts["refused"], facts["not_recorded"]) == (4, ["order_unpaid_2h"])
    found = states(lake)
    assert set(found) == {f"cart/c{person}" for person in (*persons, 30) if person not in (3, 4, 5, 6)}
    for object_id, (state, _) in found.items():
        who = "p0" if object_id == "cart/c30" else object_id.replace("cart/c", "p")
        is_control = number_of("half", who) < threshold(Decimal("0.5"))
        assert state == ("control" if is_control else "due"), object_id
    assert {state for state, _ in found.values()} == {"control", "due"}

    tag = replace(settings, profiles=ProfileSettings(f"sqlite:///{tmp_path}/none.sqlite", "", "objects"))
    with pytest.raises(TerminalError, match="publishes no tag 'objects'"):
        decide(lake, folder, AT + MINUTE, tag)
    assert noted(tag.profiles.url if tag.profiles else "") == []
    assert not (tmp_path / "none.sqlite").exists()
