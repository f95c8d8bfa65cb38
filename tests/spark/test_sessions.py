"""Sessions: where a visit ends, whose it is, and that nothing depends on the order of arrival."""

from __future__ import annotations

import argparse
import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from spark_jobs.contracts.core import EVENTS
from spark_jobs.contracts.derived import SESSIONS
from spark_jobs.sessions import job
from spark_jobs.sessions.sessionize import sessionize
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import fingerprint
from tests.tag_histories import Click, Life
from tests.tag_tables import add, event_row, settings_of, write_lives

EVENT = (
    "workspace_id string, event_id string, person_id string, person_no bigint, app string, occurred_at timestamp, "
    "name string, channel string, campaign string, authenticated boolean"
)
NOON = datetime(2017, 11, 3, 12, tzinfo=UTC)


def event(event_id: str, minutes: float, **changed: object) -> dict[str, object]:
    at = NOON + timedelta(minutes=minutes)
    row = {"workspace_id": "grocery", "event_id": event_id, "person_id": "p1", "person_no": 1, "app": "shop"}
    row |= {"occurred_at": at, "name": "page_view", "channel": None, "campaign": None, "authenticated": False}
    return {**row, **changed}


def frame(spark: SparkSession, events: list[dict[str, object]]) -> DataFrame:
    columns = [part.split()[0] for part in EVENT.split(", ")]
    return spark.createDataFrame([tuple(e[name] for name in columns) for e in events], EVENT)


@pytest.mark.parametrize(
    ("minutes", "sessions"),
    [
        pytest.param([0], 1, id="one event is a visit"),
        pytest.param([0, 30], 1, id="exactly the gap stays together"),
        pytest.param([0, 30.01], 2, id="just over the gap splits"),
        pytest.param([60, 0, 30], 1, id="arrival order does not matter"),
        pytest.param([0, 0, 0], 1, id="three events at one moment"),
        pytest.param([0, 720, 725], 2, id="a visit over midnight stays whole"),
    ],
)
def test_sessions_split_after_the_idle_gap(spark, minutes: list[float], sessions: int) -> None:
    events = frame(spark, [event(f"e{i}", m) for i, m in enumerate(minutes)])
    assert sessionize(events).count() == sessions


def test_apps_and_people_have_visits_of_their_own_and_nobody_has_none(spark) -> None:
    given = [event("a", 0), event("b", 1, app="mini"), event("c", 2, person_id="p2", person_no=2)]
    given.append(event("d", 3, person_id=None, person_no=None))
    rows = sessionize(frame(spark, given)).collect()
    assert sorted((row.person_id, row.app) for row in rows) == [("p1", "mini"), ("p1", "shop"), ("p2", "shop")]


def test_a_visit_says_how_it_began_and_what_happened(spark) -> None:
    given = [
        event("b", 5, name="purchase", channel="mail", authenticated=True),
        event("a", 0, channel="search", campaign="spring"),
        event("c", 10.5),
    ]
    (row,) = sessionize(frame(spark, given)).collect()
    assert (row.channel, row.campaign, row.events, row.purchases) == ("search", "spring", 3, 1)
    assert (row.duration_s, row.authenticated) == (630, True)


def test_any_order_and_partitioning_gives_the_same_sessions(spark) -> None:
    chance = random.Random(3)
    given = [event(f"e{n}", chance.uniform(0, 3000), person_id=f"p{n % 5}", person_no=n % 5) for n in range(300)]
    wanted = {tuple(row) for row in sessionize(frame(spark, given)).collect()}
    for parts in (1, 7):
        chance.shuffle(given)
        assert {tuple(row) for row in sessionize(frame(spark, given).repartition(parts)).collect()} == wanted


def run(lake: Lake, *, since: date = job.FIRST_DATE, until: date = job.LAST_DATE) -> dict[str, Any]:
    facts = job.run(lake.spark, settings_of(lake), argparse.Namespace(since=since, until=until))
    return {name: facts[name] for name in ("events", "events without a person", "sessions")}


def test_the_job_counts_what_it_cuts_and_cuts_a_day_again_as_it_was(lake: Lake) -> None:
    night = datetime(2017, 11, 3, 23, 50, tzinfo=UTC)
    clicks = [Click(night + timedelta(minutes=m)) for m in (0, 15, 600)]  # over midnight, and in the morning
    write_lives(lake, {0: Life(None, [], clicks), 1: Life(None, [], clicks[:1])})
    stranger = {**event_row(2, 0, clicks[0]), "subject_type": None, "subject_token": None}
    add(lake, EVENTS, [stranger])
    assert run(lake) == {"events": 5, "events without a person": 1, "sessions": 3}
    whole = fingerprint(delta.read(lake, SESSIONS), SESSIONS)
    assert run(lake) == {"events": 5, "events without a person": 1, "sessions": 3}
    # The visit that began the day before is not the asked day's, its event after midnight is.
    day = {"since": date(2017, 11, 4), "until": date(2017, 11, 5)}
    assert run(lake, **day) == {"events": 2, "events without a person": 0, "sessions": 1}
    assert fingerprint(delta.read(lake, SESSIONS), SESSIONS) == whole
    nothing = {"since": date(2016, 1, 1), "until": date(2016, 1, 2)}
    assert run(lake, **nothing) == {"events": 0, "events without a person": 0, "sessions": 0}
