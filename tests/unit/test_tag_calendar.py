"""Day and month arithmetic over arrays agrees with zoneinfo, clock changes included."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.tagging.calendar import base_of, calendar_of, micros, moment_of
from spark_jobs.tagging.definitions import Catalogue, Head
from spark_jobs.tagging.measures import Span
from tests.tag_histories import moment

ZONES = ("America/New_York", "Asia/Shanghai", "Europe/London", "Australia/Lord_Howe", "America/Sao_Paulo", "UTC")


def instants(seed: int, count: int = 2_000) -> list[datetime]:
    chance = random.Random(seed)
    since = datetime(2010, 1, 1, tzinfo=UTC)
    return [
        since + timedelta(seconds=chance.randrange(15 * 365 * 86_400), microseconds=chance.randrange(9))
        for _ in range(count)
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_days_move_the_clock_on_the_wall(zone: str) -> None:
    here, calendar = ZoneInfo(zone), calendar_of(ZoneInfo(zone), until_year=2026)
    moments = instants(1)
    for days in (1, 90, -1, -90):
        wanted = [
            (moment.astimezone(here).replace(tzinfo=None) + timedelta(days=days)).replace(tzinfo=here, fold=0)
            for moment in moments
        ]
        found = calendar.shift(np.array([micros(m) for m in moments]), Span(abs(days), "days"), sign=days // abs(days))
        assert [moment_of(int(us)) for us in found] == [moment.astimezone(UTC) for moment in wanted]


@pytest.mark.parametrize(
    ("before", "months", "after"),
    [
        pytest.param("2017-05-31T12:00", -3, "2017-02-28T12:00", id="the last day of a shorter month"),
        pytest.param("2016-05-31T12:00", -3, "2016-02-29T12:00", id="leap year"),
        pytest.param("2018-01-01T00:00", -3, "2017-10-01T00:00", id="over a change of the clocks"),
        pytest.param("2017-11-30T01:00", 3, "2018-02-28T01:00", id="forwards"),
    ],
)
def test_months_keep_the_day_or_take_the_last(before: str, months: int, after: str) -> None:
    zone = ZoneInfo("America/New_York")
    calendar = calendar_of(zone, until_year=2020)
    start = np.array([micros(base_of(before, zone))])
    span = Span(abs(months), "months")
    assert moment_of(int(calendar.shift(start, span, sign=months // abs(months))[0])) == base_of(after, zone)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("span", [Span(90, "days"), Span(1, "days"), Span(3, "months"), Span(24, "hours")])
def test_nothing_leaves_a_window_before_it_is_said_to(zone: str, span: Span) -> None:
    calendar = calendar_of(ZoneInfo(zone), until_year=2026)
    moments = np.array([micros(moment) for moment in instants(2)])
    leaves = calendar.leaves(moments, span)
    # At any base time before that moment the window still begins at or before the instant.
    for before in (1, 1_000_000, 3_600_000_000):
        assert (calendar.shift(leaves - before, span, sign=-1) <= moments).all()


def test_away_from_clock_changes_it_leaves_in_that_very_microsecond() -> None:
    calendar = calendar_of(ZoneInfo("America/New_York"), until_year=2020)
    moments = np.array([micros(datetime(2017, 7, 3, 12, 0, 0, 5, tzinfo=UTC))])
    leaves = calendar.leaves(moments, Span(60, "days"))
    assert calendar.shift(leaves - 1, Span(60, "days"), sign=-1)[0] == moments[0]
    assert calendar.shift(leaves, Span(60, "days"), sign=-1)[0] > moments[0]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("tomorrow", "wanted a time of the workspace", id="no time"),
        pytest.param("2018-01-01T00:00Z", "it has an offset", id="an offset"),
        pytest.param("2017-03-12T02:30", "the clocks in America/New_York change then", id="a time that was skipped"),
        pytest.param("2017-11-05T01:30", "the clocks in America/New_York change then", id="a time that came twice"),
    ],
)
def test_a_base_time_that_names_no_one_moment_is_refused(text: str, problem: str) -> None:
    with pytest.raises(TerminalError, match=problem):
        base_of(text, ZoneInfo("America/New_York"))


def test_days_begin_at_the_base_times_hour() -> None:
    zone = ZoneInfo("America/New_York")
    at = moment(base_of("2018-01-01T10:30", zone), Catalogue(Head("grocery"), ()))
    texts = (
        "2017-12-31T10:29:59.999999",
        "2017-12-31T10:30",
        "2018-01-01T10:29",
        "2017-11-05T10:30",
        "2017-11-04T10:30",
    )
    days = at.days(np.array([micros(base_of(text, zone)) for text in texts]))
    assert (at.base_day - days).tolist() == [2, 1, 1, 57, 58]
