"""Status: what an operator sees of a plan, from the ledger alone, however many chunks there are."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console
from sqlalchemy import insert

from migration import activity, drafts
from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import Ledger, Plan, batched, chunk_values, open_ledger
from migration.ledger_schema import CHUNKS, LEASES, REFUSALS
from migration.overview import SEAM_NOTED, overview
from migration.status import print_status
from spark_jobs.storage.fingerprints import Fingerprint
from tests.migration_files import keep_plan

PLAN = Plan("p1", "history", "v1", "hdfs://old:9000/export", "2026-01-01T00:00:00.000000Z")
FACTS = {
    "records_per_s": 1000.0,
    "bytes_per_s": 2e6,
    "recent_records_per_s": 1500.0,
    "recent_bytes_per_s": 3.5e6,
    "ends_at": "2026-01-05T06:00:00+00:00",
    "wait": {"until": "2026-01-03T22:00:00+08:00", "reason": "outside of 22:00-06:00 Asia/Shanghai"},
    "left": {"chunks": 7, "bytes": 70, "records": 7},
}


def chunk(number: int, state: ChunkState = ChunkState.PLANNED, **changes: object) -> Chunk:
    name = f"core.orders/f{number:06d}.csv-0"
    counts = Counts(10, 2, 1, Fingerprint(7, 1, 1)) if state in (ChunkState.COPIED, ChunkState.VERIFIED) else None
    given = Chunk("p1", name, "core.orders", f"f{number}.csv", 1_000_000, number, "", 10, (), "r1", "c1")
    return replace(given, state=state, counts=counts, **changes)  # type: ignore[arg-type] # names are checked


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


def refuse(ledger: Ledger, **reasons: int) -> None:
    given = {"plan_id": "p1", "target": "core.orders", "counted_at": PLAN.created_at}
    with ledger.engine.begin() as connection:
        values = [{**given, "reason": f"{name}: missing", "records": n} for name, n in reasons.items()]
        connection.execute(insert(REFUSALS), values)


def lend(ledger: Ledger) -> None:
    until = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    values = {"job": "history", "owner": "node-3/77/1", "since": PLAN.created_at, "expires_at": until}
    with ledger.engine.begin() as connection:
        connection.execute(insert(LEASES).values(**values))


def printed(ledger: Ledger) -> str:
    console = Console(file=io.StringIO(), width=160)
    print_status([overview(ledger, plan) for plan in ledger.plans()], console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_plan_is_seen_at_a_glance(ledger) -> None:
    red = chunk(9, ChunkState.FAILED, message="verification: the target holds [/] 3 rows\nsecond line")
    keep_plan(ledger, PLAN, [chunk(1), chunk(2, ChunkState.COPIED), chunk(3, ChunkState.VERIFIED), red])
    refuse(ledger, a=1, b=20, c=300, d=4, e=5, f=6)
    lend(ledger)
    activity.begin(ledger, "p1", "copy", "run")
    activity.renew(ledger, "p1", FACTS)
    ledger.record_step("p1", "ran plan", {"state": "succeeded"})
    lines = [" ".join(line.split()) for line in printed(ledger).splitlines()]
    assert lines[:2] == ["history plan p1 of 2026-01-01 00:00:00 UTC", "source hdfs://old:9000/export"]
    assert lines[2] == "runs copy, by process 77 on node-3 since 2026-01-01 00:00:00 UTC"
    assert lines[3] == "pace 1,500 rows/s, 3.5 MB/s in the last 5 minutes; 1,000 rows/s, 2.0 MB/s since it began"
    assert lines[4] == "waits until 2026-01-03 14:00:00 UTC (outside of 22:00-06:00 Asia/Shanghai)"
    assert lines[5] == "ends 2026-01-05 06:00:00 UTC, if it goes on like this; 7 chunks are left"
    assert lines[6].startswith("last step ran plan, succeeded, 20")
    assert lines[7:9] == [
        "table chunks size done planned copied verified failed",
        "core.orders 4 4.0 MB 50.0 % 1 1 1 1",
    ]
    assert lines[9:11] == ["table planned rows read good quarantined duplicate", "core.orders 40 20 14 4 2"]
    assert lines[11:15] == [
        *("refused (counted 2026-01-01 00:00:00 UTC):", "300 core.orders: c: missing"),
        *("20 core.orders: b: missing", "6 core.orders: f: missing"),
    ]
    assert lines[17:] == [
        *("and 1 further reasons (--json)", "red chunks: 1"),
        "core.orders/f000009.csv-0: verification: the target holds [/] 3 rows second line",
    ]


def test_where_live_events_take_over_is_shown(ledger) -> None:
    keep_plan(ledger, PLAN, [chunk(1)])
    assert "seam" not in printed(ledger)
    facts = {"topic": "events", "offsets": {"0": 5, "1": 7}, "chunks_before": 0, "noted_at": "2026-01-01T00:00:00Z"}
    ledger.record_step("p1", SEAM_NOTED, facts)
    assert "seam       events, partition 0 from 5, 1 from 7; noted 2026-01-01 00:00:00 UTC\n" in printed(ledger)
    ledger.record_step("p1", SEAM_NOTED, facts | {"chunks_before": 2_000})
    assert "1 from 7; 2,000 chunks were copied before; noted" in printed(ledger)


def test_what_a_plan_does_not_take_is_counted_and_the_first_named(ledger) -> None:
    drafts.begin(ledger, "history")
    objects = [(f"f{n}.csv", f"no header [{n}]") for n in range(7)]
    drafts.leave_out(ledger, "history", [*objects, *((f"notes-{n}.txt", "") for n in range(2_000))])
    drafts.adopt(ledger, PLAN)
    text = printed(ledger)
    assert "not taken: 7 objects that were refused, 2,000 that no mapping names\n  f0.csv: no header [0]\n" in text
    assert "  f4.csv: no header [4]\n  and 2,002 further ones (--json)" in text
    assert {one["reason"] for one in overview(ledger, PLAN, most=9)["not_taken"]["shown"][7:]} == {""}


def test_a_plan_that_another_one_replaced_says_so(ledger) -> None:
    keep_plan(ledger, PLAN, [chunk(1)])
    assert "not in force" not in printed(ledger)
    keep_plan(ledger, replace(PLAN, plan_id="p2"), [chunk(2)])
    assert "history  plan p1  of 2026-01-01 00:00:00 UTC, not in force\n" in printed(ledger)
    assert "history  plan p2  of 2026-01-01 00:00:00 UTC\n" in printed(ledger)


def test_red_chunks_are_counted_and_only_the_first_listed(ledger) -> None:
    keep_plan(ledger, PLAN, [chunk(n, ChunkState.FAILED, message="x" * 999) for n in range(25)])
    text = printed(ledger)
    assert "red chunks: 25" in text
    assert "and 15 further ones" in text
    assert "x" * 201 not in text
    assert len(overview(ledger, PLAN, most=1000)["red"]["shown"]) == 25


def test_who_left_is_not_shown_as_running(ledger) -> None:
    keep_plan(ledger, PLAN, [chunk(1)])
    activity.begin(ledger, "p1", "copy", "run")
    activity.renew(ledger, "p1", FACTS)
    assert overview(ledger, PLAN)["run_by"] is None
    assert "runs" not in printed(ledger)
    assert "pace" not in printed(ledger)


def test_almost_done_is_not_done(ledger) -> None:
    keep_plan(ledger, PLAN, [chunk(n, ChunkState.COPIED if n else ChunkState.PLANNED) for n in range(10_000)])
    assert "99.9 %" in printed(ledger)


def test_a_hundred_thousand_chunks_are_answered_in_seconds(ledger) -> None:
    keep_plan(ledger, PLAN, [])
    states = [ChunkState.VERIFIED, ChunkState.COPIED, ChunkState.PLANNED, ChunkState.FAILED]
    made = (chunk(n, states[n % 4]) for n in range(100_000))
    for page in batched(made, 10_000):
        rows = [{**chunk_values(one), "seen_by": "", "updated_at": PLAN.created_at} for one in page]
        with ledger.engine.begin() as connection:
            connection.execute(insert(CHUNKS), rows)
    refuse(ledger, **{f"c{n}": n for n in range(1_000)})
    began = time.monotonic()
    text = printed(ledger)
    seconds = time.monotonic() - began
    assert "red chunks: 25,000" in text
    assert seconds < 5  # measured: 0.3 s
