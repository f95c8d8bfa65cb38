"""Quiet hours on days of 23, 24 and 25 hours; a control group that is the same whenever and wherever it is asked."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from spark_jobs.errors import TerminalError
from spark_jobs.triggers.control import number_of, threshold
from spark_jobs.triggers.definitions import Quiet
from spark_jobs.triggers.moments import instant_of, micros_of, moment_of_run
from spark_jobs.triggers.quiet import quiet_until
from tests.tag_histories import NEW_YORK, local

NIGHT = Quiet(time(21), time(9))
NOON = Quiet(time(12), time(14))
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("quiet", "at", "until"),
    [
        pytest.param(NIGHT, "2018-01-10T20:59:59.999999", None, id="before"),
        pytest.param(NIGHT, "2018-01-10T21:00", "2018-01-11T09:00", id="it begins"),
        pytest.param(NIGHT, "2018-01-11T00:30", "2018-01-11T09:00", id="past midnight"),
        pytest.param(NIGHT, "2018-01-11T08:59:59.999999", "2018-01-11T09:00", id="still"),
        pytest.param(NIGHT, "2018-01-11T09:00", None, id="it is over"),
        pytest.param(NOON, "2018-01-11T13:00", "2018-01-11T14:00", id="within a day"),
        pytest.param(NOON, "2018-01-11T11:59", None, id="of a day, before"),
        pytest.param(NOON, "2018-01-11T14:00", None, id="of a day, after"),
        pytest.param(None, "2018-01-11T00:30", None, id="none at all"),
    ],
)
def test_quiet_hours(quiet: Quiet | None, at: str, until: str | None) -> None:
    assert quiet_until(quiet, local(at), NEW_YORK) == (None if until is None else local(until))


@pytest.mark.parametrize(("evening", "hours"), [("2018-03-10", 11), ("2018-11-03", 13), ("2018-06-01", 12)])
def test_a_night_with_a_clock_change_ends_by_the_clock_on_the_wall(evening: str, hours: int) -> None:
    began = local(f"{evening}T21:00")
    assert quiet_until(NIGHT, began, NEW_YORK) == began + timedelta(hours=hours)
    assert quiet_until(NIGHT, began + timedelta(hours=hours, microseconds=-1), NEW_YORK) is not None
    assert quiet_until(NIGHT, began + timedelta(hours=hours), NEW_YORK) is None


def test_ends_that_the_clocks_repeat_or_skip_last_as_long_as_any_reading_of_them() -> None:
    # 1:30 comes twice on 4 November 2018: at 5:30 and 6:30 UTC.
    late = Quiet(time(21), time(1, 30))
    for minutes in (0, 60, 90, 119):
        at = datetime(2018, 11, 4, 4, 30, tzinfo=UTC) + timedelta(minutes=minutes)
        assert quiet_until(late, at, NEW_YORK) == datetime(2018, 11, 4, 6, 30, tzinfo=UTC), at
    assert quiet_until(late, datetime(2018, 11, 4, 6, 30, tzinfo=UTC), NEW_YORK) is None
    # 2:30 is skipped on 11 March 2018: it may mean 6:30 or 7:30 UTC.
    skipped = Quiet(time(21), time(2, 30))
    assert quiet_until(skipped, datetime(2018, 3, 11, 6, 45, tzinfo=UTC), NEW_YORK) == datetime(
        2018, 3, 11, 7, 30, tzinfo=UTC
    )


def test_quiet_hours_are_those_of_the_workspace() -> None:
    at = datetime(2018, 1, 10, 14, tzinfo=UTC)  # 9 in the morning in New York, 22 in Shanghai
    assert quiet_until(NIGHT, at, NEW_YORK) is None
    assert quiet_until(NIGHT, at, SHANGHAI) == local("2018-01-11T09:00", SHANGHAI)


def test_the_control_group_is_stable_even_and_changes_with_the_salt() -> None:
    assert number_of("s", "p1") == 4388673837603859  # written down: another release must choose the same persons
    share, persons = Decimal("0.1"), [f"person-{n}" for n in range(20_000)]
    chosen = {salt: {one for one in persons if number_of(salt, one) < threshold(share)} for salt in ("a", "b")}
    for group in chosen.values():
        assert abs(len(group) - 2000) < 4 * (20_000 * 0.1 * 0.9) ** 0.5
    # Two salts choose independently: of one group a tenth is in the other.
    assert abs(len(chosen["a"] & chosen["b"]) - 200) < 4 * 200**0.5
    half = {one for one in persons if number_of("a", one) < threshold(Decimal("0.5"))}
    assert chosen["a"] < half, "a larger share keeps whom the smaller one had chosen"


def test_shares_of_nothing_and_of_all() -> None:
    numbers = [number_of("s", f"p{n}") for n in range(1000)]
    assert not any(number < threshold(Decimal(0)) for number in numbers)
    assert all(number < threshold(Decimal(1)) for number in numbers)


def test_the_moment_of_a_run() -> None:
    at = local("2018-01-10T12:00")
    assert moment_of_run(at.isoformat(), None) == micros_of(at) == moment_of_run(at.isoformat(), micros_of(at))
    assert instant_of(micros_of(at)) == at
    with pytest.raises(TerminalError, match="before the last decision"):
        moment_of_run(at.isoformat(), micros_of(at) + 1)
    for text, said in (
        ("yesterday", "wanted an instant"),
        ("2018-01-10T12:00", "with its offset"),
        ("2999-01-01T00:00:00+00:00", "has not come yet"),
    ):
        with pytest.raises(TerminalError, match=said):
            moment_of_run(text, None)
    later = micros_of(datetime.now(UTC)) + 10**9
    assert moment_of_run(None, later) == later, "a clock that was set back does not undo a decision"
