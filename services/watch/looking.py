"""Where the event has come to, asked in SQL as anybody would."""

from __future__ import annotations

import time
from datetime import datetime

from services.watch.sending import Canary, Place
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import RetryableError, TerminalError
from trino_catalog.connection import Trino, literal

FIRST_PAUSE_S, LONGEST_PAUSE_S = 2.0, 15.0


def wait_until_seen(canary: Canary, place: Place, trino: Trino, *, most_s: float) -> float:
    """Return how many seconds after its sending it stood in `core.events`.

    Raises TerminalError where it was refused, RetryableError where it is not there in time: the text says where it
    was last.
    """
    began, pause = time.monotonic(), FIRST_PAUSE_S
    while not _count(trino, in_events(canary)):
        if time.monotonic() - began > most_s:
            raise _lost(canary, place, trino, most_s=most_s)
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_S)
    return time.monotonic() - began


def in_events(canary: Canary) -> str:
    """How often it stands in the events: its day and its microsecond leave few files to be read."""
    day = literal(canary.occurred_at.date().isoformat())
    return (
        f"SELECT count(*) FROM lake.core.events WHERE occurred_date = DATE {day} "
        f"AND occurred_at = {_moment(canary.occurred_at)} AND event_id = {literal(canary.event_id)}"
    )


def in_raw(place: Place, since: datetime) -> str:
    """How often its message stands among those that were taken in."""
    return (
        f"SELECT count(*) FROM lake.raw.events WHERE received_date >= DATE {literal(since.date().isoformat())} "
        f'AND topic = {literal(EVENTS_TOPIC.name)} AND partition = {place.partition} AND "offset" = {place.offset}'
    )


def refusals(place: Place, since: datetime) -> str:
    """Why its message was refused, where it was."""
    origin = literal(f"{EVENTS_TOPIC.name}/{place.partition}")
    return (
        f"SELECT reason FROM lake.quarantine.rows WHERE quarantined_date >= DATE {literal(since.date().isoformat())} "
        f"AND source_object = {origin} AND position = {place.offset}"
    )


def _lost(canary: Canary, place: Place, trino: Trino, *, most_s: float) -> RetryableError | TerminalError:
    where = f"message {place.offset} of partition {place.partition} of {EVENTS_TOPIC.name}"
    if refused := trino.ask(refusals(place, canary.occurred_at)).rows:
        return TerminalError(
            f"{where} was refused: {refused[0][0]}. The check's own event is good by the contract; do the settings "
            f"of stream and check name the same business lines?"
        )
    if _count(trino, in_raw(place, canary.occurred_at)):
        return RetryableError(
            f"{where} is taken in and not among the events after {most_s:.0f} s; look at the log of the stream"
        )
    return RetryableError(
        f"{where} was not taken in after {most_s:.0f} s; does the stream run (`databank-ingest`), and is it behind?"
    )


def _count(trino: Trino, sql: str) -> int:
    return int(trino.ask(sql).one()[0])


def _moment(at: datetime) -> str:
    return f"TIMESTAMP '{at:%Y-%m-%d %H:%M:%S.%f} UTC'"
