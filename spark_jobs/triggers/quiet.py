"""Quiet hours on the workspace's clocks, on days of 23 and of 25 hours too."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from spark_jobs.triggers.definitions import Quiet


def quiet_until(quiet: Quiet | None, at: datetime, zone: ZoneInfo) -> datetime | None:
    """The instant at which the quiet hours end that a moment lies in, UTC; None where it lies in none.

    They are half-open: at their end people are told again. Where the clocks skip or repeat one of their ends, they
    last as long as any reading of it: nobody is woken by a change of the clocks.
    """
    if quiet is None:
        return None
    today = at.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        last = day if quiet.since < quiet.until else day + timedelta(days=1)
        begin, end = min(_readings(day, quiet.since, zone)), max(_readings(last, quiet.until, zone))
        if begin <= at < end:
            return end
    return None


def _readings(day: date, clock: time, zone: ZoneInfo) -> list[datetime]:
    """The instants that a time on the wall may mean: one, or around a clock change two."""
    wall = datetime.combine(day, clock, tzinfo=zone)
    return [wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
