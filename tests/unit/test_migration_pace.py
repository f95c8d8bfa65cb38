"""Pace: hours on a wall clock, a rate over chunks, an order; and a process that waits can be interrupted."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import Plan, open_ledger
from migration.pace import NAME, NEWEST, OLDEST, Pace, Wait, overridden, pace_of, pace_problems, rate_of
from migration.pacing import paced
from migration.waiting import to_copy
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.storage.fingerprints import Fingerprint
from tests.migration_files import keep_plan

BEGIN = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def chunk(number: int, **changes: object) -> Chunk:
    name = f"core.products/f{number:05d}.csv-0"
    given = Chunk("p1", name, "core.products", f"f{number}.csv", 100, number, "", 1, (), "r1", "c1")
    return replace(given, **changes)  # type: ignore[arg-type] # names are checked by dataclasses


def pace(*windows: str, zone: str = "UTC", **given: object) -> Pace:
    return pace_of({"windows": list(windows), "zone": zone, **given})


@pytest.mark.parametrize(
    ("window", "zone", "moment", "opens"),
    [
        pytest.param(
            "22:00-06:00", "Asia/Shanghai", "2026-03-02T13:59+00:00", "2026-03-02T14:00", id="evening in its zone"
        ),
        pytest.param("22:00-06:00", "UTC", "2026-03-02T23:30+00:00", "2026-03-02T23:30", id="open before midnight"),
        pytest.param(
            "22:00-06:00", "UTC", "2026-03-03T05:59:59+00:00", "2026-03-03T05:59:59", id="open after midnight"
        ),
        pytest.param("22:00-06:00", "UTC", "2026-03-03T06:00+00:00", "2026-03-03T22:00", id="its end is outside"),
        pytest.param("00:00-24:00", "UTC", "2026-03-03T23:59+00:00", "2026-03-03T23:59", id="all day"),
        pytest.param("09:00-17:00", "UTC", "2026-03-02T17:00:01+00:00", "2026-03-03T09:00", id="not over midnight"),
        # Clocks go from 02:00 to 03:00 on 2026-03-29 in Berlin (01:00 UTC), and from 03:00 back to 02:00 on 2026-10-25.
        pytest.param(
            "02:30-05:00", "Europe/Berlin", "2026-03-29T00:30+00:00", "2026-03-29T01:00", id="its beginning is skipped"
        ),
        pytest.param(
            "02:00-03:00", "Europe/Berlin", "2026-03-29T00:30+00:00", "2026-03-30T00:00", id="all of it is skipped"
        ),
        pytest.param(
            "22:00-06:00", "Europe/Berlin", "2026-03-29T04:00+00:00", "2026-03-29T20:00", id="an hour shorter night"
        ),
        pytest.param(
            "22:00-06:00", "Europe/Berlin", "2026-10-25T04:59+00:00", "2026-10-25T04:59", id="an hour longer night"
        ),
        pytest.param("22:00-06:00", "Europe/Berlin", "2026-10-25T05:00+00:00", "2026-10-25T21:00", id="and its end"),
        pytest.param(
            "02:00-03:00", "Europe/Berlin", "2026-10-25T01:30+00:00", "2026-10-25T01:30", id="the hour comes twice"
        ),
    ],
)
def test_windows_are_hours_on_the_wall_clock_of_their_zone(window, zone, moment, opens) -> None:
    wanted = datetime.fromisoformat(opens).replace(tzinfo=UTC)
    assert pace(window, zone=zone).opening(datetime.fromisoformat(moment)) == wanted


def test_the_earliest_of_several_windows_counts_and_without_any_it_is_always_open() -> None:
    both = pace("20:00-21:00", "13:00-14:00")
    assert both.opening(BEGIN) == BEGIN.replace(hour=13)
    assert both.opening(BEGIN.replace(hour=15)) == BEGIN.replace(hour=20)
    assert Pace().opening(BEGIN) == BEGIN


@dataclass
class FakeClock:
    """A clock on which each chunk runs for a given time."""

    runs_s: float
    moment: datetime = BEGIN
    began: list[tuple[float, int]] = field(default_factory=list)
    ends: dict[Future[Chunk], datetime] = field(default_factory=dict)

    def now(self) -> datetime:
        return self.moment

    def start(self, chunk: Chunk) -> Future[Chunk]:
        future: Future[Chunk] = Future()
        future.set_running_or_notify_cancel()
        self.began.append(((self.moment - BEGIN).total_seconds(), chunk.mtime_ns))
        self.ends[future] = self.moment + timedelta(seconds=self.runs_s)
        future.chunk = chunk  # type: ignore[attr-defined] # what it will give
        return future

    def pause(self, running: set[Future[Chunk]], seconds: float) -> None:
        until = self.moment + timedelta(seconds=seconds)
        self.moment = min([until, *(self.ends[future] for future in running)])
        for future in running:
            if self.ends[future] <= self.moment:
                future.set_result(future.chunk)  # type: ignore[attr-defined]


def run(clock: FakeClock, given: Pace, chunks: list[Chunk]) -> list[Wait | None]:
    waits: list[Wait | None] = []
    ended = list(paced(iter(chunks), clock.start, given, check=lambda: None, waits=waits.append, clock=clock))
    assert len(ended) == len(chunks)
    return waits


def test_no_more_chunks_than_allowed_run_at_a_time() -> None:
    clock = FakeClock(runs_s=10)
    assert run(clock, pace(parallel=2), [chunk(n) for n in range(5)]) == []
    assert clock.began == [(0, 0), (0, 1), (10, 2), (10, 3), (20, 4)]


def test_the_rate_is_kept_over_chunks_and_one_of_any_size_begins() -> None:
    clock = FakeClock(runs_s=1)
    sizes = [1000, 10, 10, 5000, 10]
    waits = run(clock, pace(bytes_per_s=100, parallel=4), [chunk(n, bytes=size) for n, size in enumerate(sizes)])
    assert [round(second, 1) for second, _ in clock.began] == [0, 10, 10.1, 10.2, 60.2]
    assert waits[0] == Wait(BEGIN + timedelta(seconds=10), "100 bytes a second")
    assert waits[-1] is None


def test_what_was_not_used_in_time_is_lost() -> None:
    clock = FakeClock(runs_s=100)
    run(clock, pace(bytes_per_s=100, parallel=1), [chunk(n, bytes=1000) for n in range(3)])
    assert [second for second, _ in clock.began] == [0, 100, 200]
    clock = FakeClock(runs_s=1)
    run(clock, pace("12:00-12:01", "13:00-24:00", bytes_per_s=10), [chunk(n, bytes=590) for n in range(4)])
    assert [second for second, _ in clock.began] == [0, 59, 3600, 3659]


def test_no_chunk_begins_outside_and_those_that_run_end() -> None:
    clock = FakeClock(runs_s=40)
    waits = run(clock, pace("12:00-12:01"), [chunk(n) for n in range(5)])
    day = 24 * 3600
    assert clock.began == [(0, 0), (0, 1), (40, 2), (40, 3), (day, 4)]
    assert waits == [Wait(BEGIN + timedelta(days=1), "outside of 12:00-12:01 UTC", is_closed=True), None]


@pytest.mark.parametrize("begun", [pytest.param(0, id="nothing runs"), pytest.param(1, id="a chunk runs")])
def test_a_lease_that_is_lost_ends_a_wait_within_a_second(begun) -> None:
    clock = FakeClock(runs_s=10_000)
    given = pace("12:00-12:01") if begun else pace("13:00-14:00")
    lost_at = BEGIN + timedelta(seconds=300)

    def check() -> None:
        if clock.now() >= lost_at:
            raise RetryableError("the lease was lost")

    copying = paced(
        iter([chunk(1), chunk(2)]), clock.start, replace(given, parallel=1), check=check, waits=print, clock=clock
    )
    with pytest.raises(RetryableError):
        list(copying)
    assert len(clock.began) == begun
    assert clock.now() - lost_at < timedelta(seconds=1)


def test_ctrl_c_ends_a_wait_at_once() -> None:
    later = datetime.now(UTC) + timedelta(hours=2)
    given = pace(f"{later:%H:%M}-{later + timedelta(hours=1):%H:%M}")
    began = time.monotonic()

    def check() -> None:
        assert time.monotonic() - began < 5, "the wait did not end"

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # another test may have left its own
    killing = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    try:
        killing.start()
        with pytest.raises(KeyboardInterrupt):
            list(paced(iter([chunk(1)]), lambda _chunk: Future(), given, check=check, waits=print))
        assert time.monotonic() - began < 1.3
    finally:
        killing.join()
        signal.signal(signal.SIGINT, before)


def test_what_a_chunk_raises_is_raised() -> None:
    failed: Future[Chunk] = Future()
    failed.set_exception(TerminalError("no"))
    with pytest.raises(TerminalError):
        list(paced(iter([chunk(1)]), lambda _chunk: failed, Pace(), check=lambda: None, waits=print))


@pytest.fixture
def chunks() -> list[Chunk]:
    """More than a page; ten have the same time each, and names do not sort as times do."""
    made = [chunk(n, mtime_ns=(n * 7_919) % 2_500 // 10) for n in range(2_500)]
    good = Fingerprint(1, 1, 1)
    made[3] = replace(made[3], state=ChunkState.COPIED, counts=Counts(1, 0, 0, good))
    made[4] = replace(made[4], state=ChunkState.FAILED, message="full disk")
    made[5] = replace(made[5], state=ChunkState.FAILED, counts=Counts(1, 0, 0, good), message="verification: lost")
    made[6] = replace(made[6], state=ChunkState.COPYING)
    return made


@pytest.mark.parametrize("order", [NAME, NEWEST, OLDEST])
def test_chunks_come_in_their_order_each_once(tmp_path, chunks, order) -> None:
    def place(one: Chunk) -> tuple[int, str]:
        return ({NAME: 0, NEWEST: -one.mtime_ns, OLDEST: one.mtime_ns}[order], one.chunk_id)

    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as ledger:
        keep_plan(ledger, Plan("p1", "history", "v1", "/source", "2026-01-01T00:00:00.000000Z"), chunks)
        found = list(to_copy(ledger, "p1", order))
    assert found == sorted((one for one in chunks if one not in (chunks[3], chunks[5])), key=place)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("50MB", 50_000_000), ("1.5 GiB/s", 1_610_612_736), ("800kB", 800_000), ("7B", 7), (12, 12)],
)
def test_rates_are_read_in_the_units_that_people_write(text, rate) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        pytest.param({"bytes_per_s": "fast"}, "'fast' is no rate such as 50MB", id="no rate"),
        pytest.param({"bytes_per_s": 0}, "0 is no rate", id="rate of nothing"),
        pytest.param({"bytes_per_s": True}, "True is no rate", id="a switch"),
        pytest.param({"windows": ["22-6"], "zone": "UTC"}, "window '22-6' is no span", id="no hours"),
        pytest.param({"windows": ["22:00-22:00"], "zone": "UTC"}, "is no span", id="an empty window"),
        pytest.param({"windows": ["22:00-24:01"], "zone": "UTC"}, "is no span", id="past midnight"),
        pytest.param({"windows": ["22:00-06:00"]}, "windows need a `zone`", id="no zone"),
        pytest.param({"zone": "Asia"}, "zone 'Asia' is not a zone name", id="a folder of zones"),
        pytest.param({"parallel": 0}, "parallel is 0", id="nothing at a time"),
        pytest.param({"order": "random"}, "order is 'random'", id="no order"),
        pytest.param({"speed": 1}, "unknown key 'speed'", id="unknown key"),
    ],
)
def test_a_pace_that_cannot_be_kept_is_refused(given, problem) -> None:
    (found,) = pace_problems("job.yaml [pace]", given)
    assert problem in found


def test_the_command_line_goes_before_the_job() -> None:
    job = pace("22:00-06:00", bytes_per_s="50MB", parallel=3, order="newest")
    assert pace_problems("", {"windows": ["22:00-06:00"], "zone": "UTC", "bytes_per_s": "50MB"}) == []
    assert overridden(job, parallel=None, rate=None, is_now=False) == job
    now = overridden(job, parallel=8, rate="1GB", is_now=True)
    assert now == Pace(1_000_000_000, (), ZoneInfo("UTC"), 8, NEWEST)
    with pytest.raises(TerminalError, match="--rate 'x' is no rate"):
        overridden(job, parallel=None, rate="x", is_now=False)


@pytest.mark.parametrize(
    ("windows", "hours", "ends"),
    [
        pytest.param([], 5, "2026-03-02T17:00", id="all day"),
        pytest.param(["22:00-06:00"], 5, "2026-03-03T03:00", id="this night"),
        pytest.param(["22:00-06:00"], 8.5, "2026-03-03T22:30", id="two nights"),
        pytest.param(["22:00-06:00"], 8 * 70, "2026-05-11T12:00", id="ten weeks of nights"),
    ],
)
def test_the_end_of_work_that_rests_by_day_is_foreseen(windows, hours, ends) -> None:
    found = pace(*windows).end_of(BEGIN, timedelta(hours=hours))
    assert found == datetime.fromisoformat(ends).replace(tzinfo=UTC)


def test_an_end_that_nobody_can_foresee_is_none() -> None:
    assert pace("22:00-06:00").end_of(BEGIN, timedelta(days=100_000)) is None
