"""For which moment a run's tags hold: the workspace's last midnight before the end of the run's interval."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.settings import Workspace
from spark_jobs.tagging.calendar import micros
from spark_jobs.tagging.check import Asked, catalogue_of, moment_of_run


def base(zone: str, **asked: str) -> datetime:
    """The base time that a run was asked for, in UTC."""
    workspace = Workspace("grocery", ZoneInfo(zone), date(2017, 1, 1))
    found = moment_of_run(Asked(**asked), workspace, catalogue_of(None, "grocery")).base
    moment = datetime.fromtimestamp(found / 1_000_000, UTC)
    assert micros(moment) == found
    return moment


@pytest.mark.parametrize(
    ("zone", "as_of", "wanted"),
    [
        pytest.param("America/New_York", "2025-11-28T03:00:00+00:00", "2025-11-27T05:00:00+00:00", id="yesterday"),
        pytest.param("Asia/Shanghai", "2025-11-28T03:00:00+00:00", "2025-11-27T16:00:00+00:00", id="today"),
        pytest.param("Europe/Berlin", "2025-03-31T03:00:00+00:00", "2025-03-30T22:00:00+00:00", id="after a short day"),
        pytest.param("Europe/Berlin", "2025-03-30T03:00:00+00:00", "2025-03-29T23:00:00+00:00", id="on the short day"),
        pytest.param("America/New_York", "2025-11-03T06:00:00Z", "2025-11-03T05:00:00+00:00", id="after a long day"),
        pytest.param("UTC", "2025-11-28T00:00:00+00:00", "2025-11-28T00:00:00+00:00", id="on the border itself"),
        # Clocks that skip midnight, and clocks that strike it twice.
        pytest.param("Africa/Cairo", "2026-04-24T03:00:00Z", "2026-04-23T22:00:00+00:00", id="no midnight"),
        pytest.param("America/Santiago", "2026-09-06T12:00:00Z", "2026-09-06T04:00:00+00:00", id="none in the south"),
        pytest.param("America/Havana", "2025-11-02T12:00:00Z", "2025-11-02T04:00:00+00:00", id="two midnights"),
        pytest.param("America/Havana", "2025-11-02T04:30:00Z", "2025-11-02T04:00:00+00:00", id="between the two"),
        pytest.param("UTC", "2025-11-28T01:00:00+02:00", "2025-11-27T00:00:00+00:00", id="by its offset"),
    ],
)
def test_a_run_goes_by_the_last_midnight_of_its_workspace(zone: str, as_of: str, wanted: str) -> None:
    assert base(zone, as_of=as_of) == datetime.fromisoformat(wanted)
    day = datetime.fromisoformat(as_of).astimezone(ZoneInfo(zone)).date()
    assert base(zone, day=day.isoformat()) == datetime.fromisoformat(wanted)


@pytest.mark.parametrize(
    ("as_of", "says"),
    [
        pytest.param("yesterday", "wanted an instant such as", id="no instant"),
        pytest.param("2025-11-28T03:00:00", "with its offset", id="on nobody's clock"),
        pytest.param("2999-01-01T00:00:00+00:00", "has not come yet", id="not yet"),
    ],
)
def test_an_instant_that_is_none_is_refused(as_of: str, says: str) -> None:
    with pytest.raises(TerminalError, match=says):
        base("UTC", as_of=as_of)


def test_a_time_that_the_clocks_skip_is_refused_where_it_is_asked_for_by_itself() -> None:
    with pytest.raises(TerminalError, match="the clocks in Africa/Cairo change then"):
        base("Africa/Cairo", base="2026-04-24T00:00")
    with pytest.raises(TerminalError, match="wanted a date"):
        base("UTC", day="tomorrow")
