"""Faults beneath a copy: a full disk, a database that goes away, an old ledger; afterwards nothing differs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from sqlalchemy import update

from migration import copying
from migration.choosing import plan_anew
from migration.chunks import Chunk, Counts
from migration.copying import copy_all
from migration.healing import heal
from migration.ledger import open_ledger
from migration.ledger_schema import LEASES
from migration.pace import Pace
from migration.settling import settle
from migration.sources.lines import reading_session
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import Fingerprint, fingerprint
from tests.migration_files import OldSystem, fingerprints, line, old_system, planned
from tests.postgres import postgres_server
from tests.small_disk import small_disk

pytestmark = pytest.mark.thorough

LINES = 4_000


@pytest.fixture
def old(tmp_path) -> OldSystem:
    system = old_system(tmp_path / "old")
    system.put("a", [line(number, number) for number in range(10)])
    system.put("b", [line(number, number) for number in range(100, 100 + LINES)])
    system.put("c", [line(3, 3), "broken"])  # line 3 of a again
    return system


@pytest.fixture
def begin(old, key_file) -> Callable[..., AbstractContextManager[Work]]:
    """Plan the files for a lake, as an operator does who starts the job (again)."""
    return lambda lake, **ledger: planned(old, lake, key_file, **ledger)


@pytest.fixture
def undisturbed(begin, spark, tmp_path) -> tuple[dict[str, object], Fingerprint]:
    """What ledger and target say where nothing happened."""
    with begin(Lake(spark, str(tmp_path / "quiet" / "lake"))) as work:
        return ended(work)


def ended(work: Work) -> tuple[dict[str, object], Fingerprint]:
    """Copy what is left, settle and verify; what ledger and target say then."""
    heal(work, ORDER_LINES)
    copy_all(work)
    settle(work.lake, ORDER_LINES, run_id=work.run_id)
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])
    return fingerprints(work.ledger, work.plan.plan_id), fingerprint(delta.read(work.lake, ORDER_LINES), ORDER_LINES)


def test_a_disk_that_fills_under_the_target(begin, undisturbed, spark, tmp_path) -> None:
    with small_disk(tmp_path / "disk", "300k") as enlarge:
        lake = Lake(spark, str(tmp_path / "disk" / "lake"))
        with begin(lake, ledger=tmp_path / "ledger.sqlite") as work:
            with pytest.raises(Exception, match=r"No space left on device|cannot write"):
                copy_all(work, pace=Pace(parallel=1))
            copied = [counts for counts in fingerprints(work.ledger, work.plan.plan_id).values() if counts]
            assert len(copied) == 1, "the disk was full at another moment"
        enlarge("64m")
        with begin(lake, ledger=tmp_path / "ledger.sqlite") as work:
            assert ended(work) == undisturbed


def test_a_database_that_goes_away_in_the_middle(begin, undisturbed, lake, monkeypatch) -> None:
    write_chunk = copying.write_chunk
    stopped: list[str] = []
    with postgres_server() as server:

        def stop_behind(work: Work, session: SparkSession, chunk: Chunk, *, repair: bool = False) -> Counts:
            counts = write_chunk(work, session, chunk, repair=repair)
            if "transactions-b" in chunk.chunk_id and not stopped:
                server.stop()  # the commit stands, and the ledger cannot hear of it
                stopped.append(chunk.chunk_id)
            return counts

        monkeypatch.setattr(copying, "write_chunk", stop_behind)
        with (
            pytest.raises(RetryableError, match=r"the ledger .* does not answer"),
            begin(lake, ledger_url=server.url) as work,
        ):
            copy_all(work, pace=Pace(parallel=1))
        assert stopped
        server.start()
        the_process_ended(server.url)
        with begin(lake, ledger_url=server.url) as work:
            assert ended(work) == undisturbed


def test_a_ledger_that_is_lost_after_delta_forgot_the_chunks(begin, undisturbed, lake, tmp_path) -> None:
    with begin(lake) as work:
        assert ended(work) == undisturbed
        first, *_, last = work.ledger.chunks(work.plan.plan_id)
    forget_old_commits(lake, ORDER_LINES, first)
    forget_old_commits(lake, QUARANTINE_ROWS, last)
    with begin(lake, ledger=tmp_path / "new.sqlite") as work:
        # From the rows themselves; nothing of c stands there, so c is copied and settled away once more.
        assert heal(work, ORDER_LINES) == 2
        assert ended(work) == undisturbed


def forget_old_commits(lake: Lake, table: Table, chunk: Chunk) -> None:
    """As Delta does in time: transactions expire, and commits before a checkpoint are removed."""
    path = lake.path_of(table)

    def expire_after(time: str) -> None:
        expiry = f"'delta.setTransactionRetentionDuration' = 'interval {time}'"
        lake.spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ({expiry})")

    expire_after("0 seconds")
    jvm: Any = lake.spark._jvm
    logs = jvm.org.apache.spark.sql.delta.DeltaLog
    logs.forTable(lake.spark._jsparkSession, path).checkpoint()
    commits = sorted(Path(path, "_delta_log").glob("*.json"))
    for commit in commits[:-1]:
        commit.unlink()
    for checksum in Path(path, "_delta_log").glob(".*.crc"):
        checksum.unlink()
    logs.clearCache()
    expire_after("60 days")
    assert Append(lake, table).newest(chunk.origin) == -1, "Delta still knows"


def the_process_ended(ledger_url: str) -> None:
    """Here it goes on with the next test; its lease would be free at once otherwise, as `_is_dead` finds."""
    with open_ledger(ledger_url) as ledger, ledger.engine.begin() as connection:
        connection.execute(update(LEASES).values(expires_at=""))


def test_what_a_killed_copy_committed_may_not_come_with_another_content(tmp_path, lake, key_file) -> None:
    system = old_system(tmp_path / "small")
    system.put("a", [line(1)])
    with planned(system, lake, key_file) as work:
        (chunk,) = work.ledger.chunks(work.plan.plan_id)
        copying.prepare(work)
        copying.write_chunk(work, reading_session(lake.spark), chunk)  # and the ledger never hears of it
        system.put("a", [line(2)])
        with pytest.raises(TerminalError, match=f"another content of it was copied as {chunk.chunk_id}"):
            plan_anew(work, system.job(), work.ledger, work.source, is_partial=False)
        assert work.ledger.plan_in_force("history") == work.plan


def test_a_ledger_from_yesterday(begin, undisturbed, lake, tmp_path) -> None:
    ledger, yesterday = tmp_path / "ledger.sqlite", tmp_path / "yesterday.sqlite"
    with begin(lake, ledger=ledger) as work:
        first = next(work.ledger.chunks(work.plan.plan_id))
        copying.prepare(work)
        copying.copy_chunk(work, reading_session(lake.spark), first)
    shutil.copy(ledger, yesterday)
    with begin(lake, ledger=ledger) as work:
        assert ended(work) == undisturbed
        version = delta.current_version(lake, ORDER_LINES)
    shutil.copy(yesterday, ledger)
    with begin(lake, ledger=ledger) as work:
        assert heal(work, ORDER_LINES) == 2  # b was copied since, and a line of c was settled away
        assert ended(work) == undisturbed
    assert delta.current_version(lake, ORDER_LINES) == version  # nothing was written again
