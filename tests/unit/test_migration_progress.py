"""Progress: rates, what is left and when it ends; who cannot be told does not stop the copy."""

from __future__ import annotations

import io
import logging
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from migration import watching
from migration.chunks import Chunk, Counts
from migration.pace import Pace, Wait, pace_of
from migration.progress import shown, summary
from migration.tracking import Amount, Figures, Tracker
from migration.watching import Listener, attempted, telling
from spark_jobs.storage.fingerprints import Fingerprint

BEGIN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LEFT = {"core.orders": Amount(10, 1000, 100), "core.members": Amount(2, 200, 20)}
COUNTS = Counts(10, 2, 1, Fingerprint(7, 1, 1))
CLOSED = Wait(BEGIN + timedelta(hours=9), "outside of 22:00-06:00 UTC", is_closed=True)


def chunk(target: str = "core.orders", **changes: object) -> Chunk:
    given = Chunk("p1", f"{target}/f", target, "f.csv", 100, 0, "", 10, (), "r1", "c1", counts=COUNTS)
    return replace(given, **changes)  # type: ignore[arg-type] # names are checked by dataclasses


@dataclass
class Copy:
    """A tracker on a clock that goes when it is told to."""

    left: dict[str, Amount]
    pace: Pace = field(default_factory=Pace)
    moment: datetime = BEGIN

    def __post_init__(self) -> None:
        self.tracker = Tracker(self.left, self.pace, lambda: self.moment)

    def after(self, seconds: float, *chunks: Chunk) -> Figures:
        self.moment += timedelta(seconds=seconds)
        for one in chunks:
            self.tracker.began(one)
            self.tracker.ended(one)
        return self.tracker.figures()


def test_what_is_copied_leaves_what_is_left() -> None:
    found = Copy(dict(LEFT)).after(10, chunk(), chunk(), chunk("core.members"))
    assert found.done == {"core.orders": Amount(2, 200, 20, 4), "core.members": Amount(1, 100, 10, 2)}
    assert (found.left["core.orders"].chunks, found.total_left.bytes) == (8, 900)
    assert (found.rate.bytes_per_s, found.rates["core.members"].records_per_s) == (30, 1)


def test_the_last_minutes_are_told_from_the_whole() -> None:
    copy = Copy({"core.orders": Amount(1000, 100_000, 10_000)})
    for _ in range(30):
        copy.after(60, chunk())
    found = copy.after(0, *[chunk()] * 30)
    assert found.rate.bytes_per_s == pytest.approx(60 * 100 / 1800)
    assert found.rate.recent_bytes_per_s == pytest.approx(35 * 100 / 300)
    # Of 940 chunks the next ones are taken to go like the last ones.
    assert found.ends_at == copy.moment + timedelta(seconds=940 * 300 / 35)


def test_a_wait_for_the_hours_costs_no_pace_and_one_for_the_rate_does() -> None:
    copy = Copy(dict(LEFT))
    copy.after(100, chunk())
    copy.tracker.waits(CLOSED)
    assert copy.after(3_600).rate.bytes_per_s == 1
    copy.tracker.waits(Wait(copy.moment, "1 bytes a second"))
    found = copy.after(100, chunk())
    assert (found.rate.bytes_per_s, found.work_s) == (1, 200)


def test_the_end_rests_with_the_copy() -> None:
    """At 12:30 five minutes of work are left, and two minutes of this day's hours."""
    copy = Copy({"core.orders": Amount(100, 10_000, 1_000)}, pace_of({"windows": ["12:00-12:32"], "zone": "UTC"}))
    assert copy.after(1800, *[chunk()] * 50).ends_at == BEGIN + timedelta(days=1, minutes=3)


def test_objects_without_a_size_are_counted_by_their_records() -> None:
    found = Copy({"core.orders": Amount(4, 0, 40)}).after(10, *[chunk(bytes=0)] * 3)
    assert found.ends_at == found.at + timedelta(seconds=10 / 3)


@pytest.mark.parametrize(
    ("left", "ends"),
    [
        pytest.param({}, BEGIN, id="nothing to do has ended"),
        pytest.param(LEFT, None, id="nothing done yet has no end"),
    ],
)
def test_ends_that_need_no_pace(left, ends) -> None:
    assert Tracker(left, Pace(), lambda: BEGIN).figures().ends_at == ends


def test_what_a_tracker_keeps_does_not_grow() -> None:
    copy = Copy({"core.orders": Amount(100_000, 10**7, 10**6)})
    for _ in range(5_000):
        copy.after(0.5, chunk(), chunk())
    assert len(copy.tracker._recent) <= 61
    assert copy.after(0).total == Amount(10_000, 10**6, 10**5, 20_000)


def test_a_line_says_where_a_copy_stands() -> None:
    copy = Copy(dict(LEFT))
    copy.tracker.began(chunk())
    found = copy.after(10, chunk())
    assert summary(found).startswith("copied 1 of 12 chunks, 1 running; 10 rows, 2 refused; 1 rows/s, 10 B/s, ends ")
    copy.tracker.waits(CLOSED)
    assert "waits until" in summary(copy.after(0))
    assert "outside of 22:00-06:00" in summary(copy.after(0))


def test_a_terminal_shows_each_table_and_the_whole() -> None:
    copy = Copy(dict(LEFT))
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with shown(copy.after(0), console) as (_, show):
        copy.tracker.began(chunk())
        show(copy.after(10, chunk(), chunk()))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "2/10 chunks, 20 rows, 4 refused" in text
    assert "0/2 chunks" in text
    assert "9 planned, 1 copying, 2 copied" in text


def test_listeners_are_told_when_they_are_due_and_at_the_end(monkeypatch) -> None:
    monkeypatch.setattr(watching, "TICK_S", 0.01)
    heard: dict[str, list[Figures]] = {"often": [], "rarely": [], "never": []}
    listeners = [
        Listener("often", 0.02, heard["often"].append),
        Listener("rarely", 100, heard["rarely"].append),
        Listener("never", 100, heard["never"].append, is_told_at_end=False),
    ]
    with telling(Copy(dict(LEFT)).tracker, listeners):
        time.sleep(0.5)
    assert len(heard["often"]) > 3
    assert (len(heard["rarely"]), len(heard["never"])) == (1, 0)


def test_a_listener_that_fails_is_counted_and_stops_nothing(monkeypatch, caplog) -> None:
    monkeypatch.setattr(watching, "TICK_S", 0.01)

    def fail(_figures: Figures) -> None:
        raise RuntimeError("conflict\nof many lines")

    listener, heard = Listener("writing", 0.02, fail), []  # type: ignore[var-annotated]
    with telling(Copy(dict(LEFT)).tracker, [listener, Listener("after it", 0.02, heard.append)]):
        time.sleep(0.3)
    assert listener.failures > 1
    assert len(heard) > 1
    assert "writing failed, 2 times so far: conflict" in caplog.text
    assert "many lines" not in caplog.text


def test_what_only_informs_fails_no_verb(caplog) -> None:
    def fail() -> None:
        raise RuntimeError("no room")

    with caplog.at_level(logging.WARNING):
        attempted("writing the metrics", fail)
    assert "writing the metrics failed: no room" in caplog.text
