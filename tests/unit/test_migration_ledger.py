"""The ledger on SQLite and on PostgreSQL: plans, moves, healing, the schema's steps and the lease."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import create_engine, delete, insert, text, update

from migration import marks
from migration.chunks import Chunk, ChunkState, Counts
from migration.lease import held
from migration.ledger import Ledger, Plan, open_ledger
from migration.ledger_schema import LEASES, METADATA, NEWEST, UPGRADES, VERSIONS, version_of
from migration.marks import Change, Mark
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.storage.fingerprints import Fingerprint
from tests.migration_files import keep_plan
from tests.postgres import running_postgres

COUNTS = Counts(10, 2, 1, Fingerprint(7, -(2**63), 7 * (2**63 - 1)))


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite"
    address: str = request.getfixturevalue("postgres")
    engine = create_engine(address)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    return address


@pytest.fixture
def ledger(url) -> Iterator[Ledger]:
    with open_ledger(url) as opened:
        yield opened


def plan(plan_id: str = "p1", created_at: str = "2026-01-01T00:00:00.000000Z") -> Plan:
    return Plan(plan_id, "history", "v1", "/source", created_at)


def chunk(number: int = 1, **changes: object) -> Chunk:
    given = Chunk(
        plan_id="p1",
        chunk_id=f"core.products/f{number:05d}.csv-0",
        target="core.products",
        source_object=f"f{number}.csv",
        bytes=5_000_000_000,
        mtime_ns=1_700_000_000_123_456_789,
        sha256="ab" * 32,
        records=10,
        header=("a", "b,c", "é"),
        rule_version="r1",
        contract_hash="c1",
    )
    return replace(given, **changes)  # type: ignore[arg-type] # names are checked by dataclasses


def test_a_plan_comes_back_as_it_was_stored(ledger) -> None:
    chunks = [chunk(1), chunk(2, state=ChunkState.VERIFIED, counts=COUNTS, message="it's fine")]
    keep_plan(ledger, plan(), chunks)
    assert list(ledger.chunks("p1")) == chunks
    assert ledger.plan("p1") == ledger.plan_in_force("history") == plan()
    assert ledger.plan("p2") is None


def test_saving_a_plan_again_renews_time_stamps_and_keeps_states(ledger) -> None:
    keep_plan(ledger, plan(), [chunk()])
    ledger.move(chunk(), ChunkState.COPYING)
    keep_plan(ledger, plan(), [chunk(mtime_ns=5)])
    (found,) = ledger.chunks("p1")
    assert (found.mtime_ns, found.state) == (5, ChunkState.COPYING)


def test_the_plan_that_was_adopted_last_is_in_force(ledger) -> None:
    first = plan("p1", "2026-01-02T00:00:00.000000Z")
    keep_plan(ledger, first, [])
    keep_plan(ledger, plan("p2", "2026-01-03T00:00:00.000000Z"), [])
    assert ledger.plan_in_force("history").plan_id == "p2"
    keep_plan(ledger, replace(first, source="/moved", created_at="2026-01-04T00:00:00.000000Z"), [])
    assert ledger.plan_in_force("history") == replace(first, source="/moved")
    assert [one.plan_id for one in ledger.plans()] == ["p1", "p2"]


def test_of_an_older_ledger_s_plans_the_newest_is_in_force(url) -> None:
    engine = create_engine(url)
    old = [statement for number in (1, 2, 3) for statement in UPGRADES[number]]
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE ledger_version (version INTEGER PRIMARY KEY, applied_at VARCHAR(32))"))
        for statement in (*old, "INSERT INTO ledger_version VALUES (3, '')"):
            connection.execute(text(statement))
        for name, day in (("p2", 3), ("p1", 2)):
            values = f"'{name}', 'history', 'v1', '/source', '2026-01-0{day}'"
            connection.execute(text(f"INSERT INTO plans VALUES ({values})"))
    engine.dispose()
    with open_ledger(url) as ledger:
        assert [one.plan_id for one in ledger.plans_of("history")] == ["p2", "p1"]


def test_more_chunks_than_a_page_come_once_each_and_in_order(ledger) -> None:
    keep_plan(ledger, plan(), (chunk(number) for number in range(2_500)))
    found = [one.chunk_id for one in ledger.chunks("p1")]
    assert found == sorted(set(found))
    assert len(found) == 2_500
    (row,) = ledger.totals("p1")
    assert (row["chunks"], row["bytes"], row["rows_good"]) == (2_500, 2_500 * 5_000_000_000, 0)


def test_a_chunk_moves_through_its_states_and_keeps_its_counts(ledger) -> None:
    keep_plan(ledger, plan(), [chunk()])
    moved = ledger.move(chunk(), ChunkState.COPYING)
    moved = ledger.move(moved, ChunkState.COPIED, counts=COUNTS)
    moved = ledger.move(moved, ChunkState.VERIFIED)
    assert ledger.chunk("p1", chunk().chunk_id) == moved
    assert moved.counts == COUNTS


@pytest.mark.parametrize(
    ("state", "wanted"),
    [
        pytest.param(ChunkState.PLANNED, ChunkState.VERIFIED, id="what was not copied cannot be verified"),
        pytest.param(ChunkState.COPIED, ChunkState.COPYING, id="what is copied is not copied again"),
        pytest.param(ChunkState.VERIFIED, ChunkState.COPYING, id="what is verified is not copied again"),
        pytest.param(ChunkState.FAILED, ChunkState.VERIFIED, id="what failed is not waved through"),
    ],
)
def test_illegal_moves_are_refused(ledger, state, wanted) -> None:
    keep_plan(ledger, plan(), [chunk(state=state)])
    with pytest.raises(TerminalError, match=f"{state} cannot become {wanted}"):
        ledger.move(chunk(state=state), wanted)


def test_of_two_who_move_a_chunk_one_is_told(ledger) -> None:
    keep_plan(ledger, plan(), [chunk()])
    ledger.move(chunk(), ChunkState.COPYING)
    with pytest.raises(TerminalError, match="no longer planned"):
        ledger.move(chunk(), ChunkState.COPIED, counts=COUNTS)


def test_healing_takes_over_counts_once_and_leaves_red_chunks_red(ledger) -> None:
    red = chunk(2, state=ChunkState.FAILED, counts=COUNTS, message="verification: lost")
    keep_plan(ledger, plan(), [chunk(1), red, chunk(3, state=ChunkState.VERIFIED, counts=COUNTS)])
    names = [one.chunk_id for one in (chunk(1), red, chunk(3))] + ["core.products/unknown"]
    found = [Change(name, counts=COUNTS) for name in names]
    of, mark = ("p1", "core.products"), Mark("t", 5, "x")
    assert [marks.replay(ledger, of, found, mark, run_id="run-1") for _ in range(2)] == [1, 0]
    assert marks.read(ledger, *of) == mark
    assert [one.state for one in ledger.chunks("p1")] == ["copied", "failed", "verified"]
    assert ledger.chunk("p1", chunk(1).chunk_id).counts == COUNTS
    assert list(ledger.unseen("p1", "core.products", "run-1")) == []
    assert [one.chunk_id for one in ledger.unseen("p1", "core.products", "run-2")] == [
        chunk(1).chunk_id,
        chunk(3).chunk_id,
    ]


def test_what_left_a_chunk_is_taken_from_the_counts_that_were_before_it(ledger) -> None:
    keep_plan(ledger, plan(), [chunk(1)])
    one, taken = chunk(1).chunk_id, Fingerprint(2, 5, 9)
    of = ("p1", "core.products")
    marks.replay(ledger, of, [Change(one, taken=taken), Change(one, counts=COUNTS)], Mark("t", 1, "a"), run_id="r")
    assert ledger.chunk("p1", one).counts == COUNTS
    marks.replay(ledger, of, [Change(one, taken=taken)], Mark("t", 2, "b"), run_id="r")
    assert ledger.chunk("p1", one).counts == Counts(10, 2, 3, COUNTS.good - taken)
    # Of rows that were derived from the chunk's: they left another table.
    marks.replay(ledger, ("p1", "core.orders"), [Change(one, taken=taken)], Mark("u", 1, "c"), run_id="r")
    assert ledger.chunk("p1", one).counts == Counts(10, 2, 3, COUNTS.good - taken)


def test_a_new_plan_inherits_what_the_last_one_knows_of_its_chunks(ledger) -> None:
    keep_plan(ledger, plan(), [chunk(1), chunk(2)])
    known = [Change(chunk(1).chunk_id, counts=COUNTS)]
    marks.replay(ledger, ("p1", "core.products"), known, Mark("t", 4, "x"), run_id="r")
    keep_plan(ledger, plan("p2"), [chunk(1), chunk(3)])
    assert marks.inherit(ledger, ("p2", "core.products"), "another table", run_id="s") is None
    assert marks.inherit(ledger, ("p2", "core.products"), "t", run_id="s") == Mark("t", 4, "x")
    assert [(one.state, one.counts) for one in ledger.chunks("p2")] == [("copied", COUNTS), ("planned", None)]
    assert marks.read(ledger, "p2", "core.products") == Mark("t", 4, "x")


def test_steps_keep_their_order_and_facts(ledger) -> None:
    keep_plan(ledger, plan(), [])
    ledger.record_step("p1", "verified", {"table": "core.products", "version": 3})
    ledger.record_step("p1", "cut over", {"view": "sales.purchases"})
    assert [(step.name, step.facts) for step in ledger.steps("p1")] == [
        ("verified", {"table": "core.products", "version": 3}),
        ("cut over", {"view": "sales.purchases"}),
    ]
    assert ledger.last_step("p1", "verified", "nothing").facts["version"] == 3
    assert ledger.last_step("p1", "finished") is None


def test_the_schema_is_built_by_gapless_steps_and_only_once(url) -> None:
    assert sorted(UPGRADES) == list(range(1, NEWEST + 1))
    for _ in range(2):
        with open_ledger(url) as ledger:
            assert version_of(ledger.engine) == NEWEST
            for table in METADATA.sorted_tables:  # the statements and the tables that queries use agree
                with ledger.engine.connect() as connection:
                    connection.execute(table.select()).all()


def test_a_ledger_from_the_future_is_refused(url) -> None:
    with open_ledger(url) as ledger, ledger.engine.begin() as connection:
        connection.execute(insert(VERSIONS).values(version=NEWEST + 1, applied_at=""))
    with pytest.raises(TerminalError, match=f"version {NEWEST + 1}"), open_ledger(url):
        pass


def test_a_second_operator_is_told_who_runs_the_job(ledger) -> None:
    told = rf"run by process {os.getpid()} on {socket.gethostname()} since 20"
    with held(ledger, "history"), pytest.raises(RetryableError, match=told), held(ledger, "history"):
        pass
    with held(ledger, "history"), held(ledger, "another job"):
        pass


def test_the_lease_of_a_dead_process_is_taken_over_at_once(ledger) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    _set_owner(ledger, f"{socket.gethostname()}/{dead.stdout.strip()}/1", timedelta(minutes=1))
    with held(ledger, "history") as lease:
        assert not lease.is_lost


def test_a_process_number_that_is_used_again_is_not_the_owner(ledger) -> None:
    _set_owner(ledger, f"{socket.gethostname()}/{os.getpid()}/1", timedelta(minutes=1))
    with held(ledger, "history"):
        pass


@pytest.mark.parametrize(
    ("left", "is_free"),
    [
        pytest.param(timedelta(seconds=30), False, id="a lease that runs is respected"),
        pytest.param(timedelta(seconds=-1), True, id="a lease that ran out is taken"),
    ],
)
def test_the_lease_of_another_host_counts_until_it_runs_out(ledger, left, is_free) -> None:
    _set_owner(ledger, "elsewhere/77/1", left)
    if is_free:
        with held(ledger, "history"):
            pass
    else:
        with pytest.raises(RetryableError, match="process 77 on elsewhere"), held(ledger, "history"):
            pass


def test_a_lost_lease_stops_the_work(ledger, monkeypatch) -> None:
    monkeypatch.setattr("migration.lease.RENEWAL_S", 0.01)
    with held(ledger, "history") as lease:
        lease.check()
        with ledger.engine.begin() as connection:
            connection.execute(update(LEASES).values(owner="elsewhere/77/1"))
        deadline = datetime.now(UTC) + timedelta(seconds=10)
        while not lease.is_lost and datetime.now(UTC) < deadline:
            pass
        with pytest.raises(RetryableError, match="was lost"):
            lease.check()


def test_who_lost_the_lease_moves_no_chunk(ledger, url) -> None:
    keep_plan(ledger, plan(), [chunk()])
    with held(ledger, "history") as lost, open_ledger(url) as other:
        moved = ledger.move(chunk(), ChunkState.COPYING)
        with ledger.engine.begin() as connection:
            connection.execute(update(LEASES).values(expires_at=""))
        with held(other, "history") as heir:
            assert heir.owner == lost.owner  # so that the epoch decides
            with pytest.raises(RetryableError, match="lost to another process"):
                ledger.move(moved, ChunkState.FAILED, message="taken over")
            other.move(moved, ChunkState.COPIED, counts=COUNTS)
    assert ledger.chunk("p1", chunk().chunk_id).state is ChunkState.COPIED


def _set_owner(ledger: Ledger, owner: str, left: timedelta) -> None:
    expires = (datetime.now(UTC) + left).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with ledger.engine.begin() as connection:
        connection.execute(delete(LEASES))
        connection.execute(insert(LEASES).values(job="history", owner=owner, since=expires, expires_at=expires))
