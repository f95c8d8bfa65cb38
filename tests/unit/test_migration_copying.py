"""A copy goes on past chunks that fail by themselves, and stops at once where what all of them need is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyspark.errors import PySparkRuntimeError

from migration import copying
from migration.chunks import Chunk, ChunkState, Counts
from migration.copying import SHOWN, copy_all, repair_chunk
from migration.ledger import Ledger, Plan, open_ledger
from migration.pace import Pace
from migration.tracking import Amount, Tracker
from migration.work import Work
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.storage.fingerprints import EMPTY
from tests.migration_files import keep_plan

PLAN = Plan("p1", "history", "v1", "/source", "2026-01-01T00:00:00.000000Z")
BAD = TerminalError("planned 1 records, read 0")
CHUNKS = 3 * SHOWN


def chunk(number: int) -> Chunk:
    return Chunk("p1", f"core.products/f{number:02d}", "core.products", f"f{number}", 100, 0, "", 1, (), "r1", "c1")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        keep_plan(opened, PLAN, map(chunk, range(CHUNKS)))
        yield opened


@pytest.fixture
def work(ledger: Ledger) -> Work:
    lake, lease = SimpleNamespace(spark=None), SimpleNamespace(check=lambda: None)
    return cast("Work", SimpleNamespace(ledger=ledger, plan=PLAN, lake=lake, lease=lease))


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let chunks of these numbers fail in this way; all others are written."""
    for name in ("prepare", "remember"):
        monkeypatch.setattr(copying, name, lambda _work: None)
    monkeypatch.setattr(copying, "reading_session", lambda _spark: None)

    def failing(error: Exception, *numbers: int) -> None:
        names = {chunk(number).chunk_id for number in numbers}

        def write(_work: Work, _session: object, one: Chunk, **_repair: Any) -> Counts:
            if one.chunk_id in names:
                raise error
            return Counts(1, 1, 0, EMPTY)

        monkeypatch.setattr(copying, "write_chunk", write)

    return failing


def states(work: Work) -> list[ChunkState]:
    return [one.state for one in work.ledger.chunks("p1")]


def test_chunks_that_fail_stop_no_other_and_are_named_at_the_end(work, fail) -> None:
    fail(BAD, 1, 5)
    tracker = Tracker({"core.products": Amount(CHUNKS, 100 * CHUNKS, CHUNKS)}, Pace())
    with pytest.raises(TerminalError) as error:
        copy_all(work, watch=tracker)
    assert states(work) == [ChunkState.FAILED if n in (1, 5) else ChunkState.COPIED for n in range(CHUNKS)]
    first, *named, last = str(error.value).splitlines()
    assert first == "chunks that failed: 2; the others are copied:"
    assert sorted(named) == [f"  chunk core.products/f0{number}: planned 1 records, read 0" for number in (1, 5)]
    assert "run `migration copy` again" in last
    found = tracker.figures()
    assert (found.running, found.total.chunks, found.total_left.chunks) == (0, CHUNKS - 2, 2)
    fail(BAD)
    copy_all(work)
    assert set(states(work)) == {ChunkState.COPIED}


def test_of_many_that_fail_the_first_are_named(work, fail) -> None:
    fail(BAD, *range(CHUNKS))
    with pytest.raises(TerminalError) as error:
        copy_all(work)
    assert str(error.value).count("planned 1 records") == SHOWN
    assert f"and {CHUNKS - SHOWN} more" in str(error.value)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(RetryableError("the lease was lost"), id="lease"),
        pytest.param(OSError(28, "No space left on device"), id="disk"),
        pytest.param(PySparkRuntimeError("the JVM is gone", messageParameters={}), id="Spark itself"),
    ],
)
def test_what_every_chunk_needs_stops_the_copy_and_is_no_chunk_s_failure(work, fail, error) -> None:
    fail(error, 1)
    with pytest.raises(type(error)):
        copy_all(work, pace=Pace(parallel=1))
    assert states(work) == [ChunkState.COPIED, ChunkState.COPYING, *[ChunkState.PLANNED] * (CHUNKS - 2)]


def test_a_repair_that_fails_says_so(work, fail) -> None:
    fail(BAD, 1)
    with pytest.raises(TerminalError, match=r"chunk core\.products/f01: planned 1 records, read 0"):
        repair_chunk(work, chunk(1).chunk_id)
