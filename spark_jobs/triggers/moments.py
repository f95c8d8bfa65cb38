"""Moments as people write them and as rows are compared: instants, and microseconds since 1970 UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from spark_jobs.errors import TerminalError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def instant_of(at_us: int) -> datetime:
    """The instant of so many microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=at_us)


def micros_of(at: datetime) -> int:
    """Microseconds since 1970 of an aware moment."""
    return (at - _EPOCH) // _MICROSECOND


def micros_in(span: timedelta) -> int:
    """Microseconds in a time."""
    return span // _MICROSECOND


def moment_of_run(text: str | None, newest_us: int | None) -> int:
    """The moment that --at asks for, else now, in microseconds since 1970; TerminalError where it cannot be decided.

    In: the moment of the last decision: one before it is refused, as what was told then cannot be taken back.
    """
    now = datetime.now(UTC)
    if text is None:
        return max(micros_of(now), newest_us or 0)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise TerminalError(f"--at is {text!r}, wanted an instant such as 2018-01-01T03:00:00+00:00") from error
    if at.tzinfo is None:
        raise TerminalError(f"--at is {text!r}, wanted an instant with its offset, such as {text}+00:00")
    if at > now:
        raise TerminalError(f"--at is {text!r}, which has not come yet; give a moment up to now")
    if newest_us is not None and micros_of(at) < newest_us:
        newest = instant_of(newest_us).isoformat()
        raise TerminalError(f"--at is {text!r}, before the last decision; give a moment from {newest} on")
    return micros_of(at)
