"""What verification asks the ledger and the source does not grow faster than its pages, and judges before it marks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import event

from migration import verifying
from migration import work as works
from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import PAGE, Ledger, Plan, open_ledger
from migration.outsiders import known_chunks
from migration.verifying import Verdict
from migration.work import Work
from spark_jobs.contracts.core import PRODUCTS
from spark_jobs.errors import TerminalError
from spark_jobs.storage.fingerprints import Fingerprint
from tests.migration_files import keep_plan

COUNTS = Counts(10, 2, 1, Fingerprint(7, 5, 6))
CHUNKS = PAGE + 2


def chunk(number: int, state: ChunkState = ChunkState.COPIED, plan_id: str = "p1") -> Chunk:
    name = f"f{number:05d}.csv"
    return Chunk(
        *(plan_id, f"{PRODUCTS.name}/{name}-0", PRODUCTS.name, name, 5, 1, "ab" * 32, 10, ("a",), "r1"),
        contract_hash=PRODUCTS.contract_hash,
        state=state,
        counts=COUNTS,
    )


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """One plan whose chunks are copied, but for one that is verified and one that is red."""
    of_first = {0: ChunkState.VERIFIED, 1: ChunkState.FAILED}
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        states = [of_first.get(number, ChunkState.COPIED) for number in range(CHUNKS)]
        keep_plan(opened, plan(), [chunk(number, state) for number, state in enumerate(states)])
        yield opened


def plan(plan_id: str = "p1") -> Plan:
    return Plan(plan_id, "history", "v1", "/source", "2026-01-01T00:00:00.000000Z")


def work_with(ledger: Ledger) -> Work:
    nothing = cast("Any", None)
    return Work(nothing, ledger, nothing, nothing, plan(), Path("root.json"), "run")


def states(ledger: Ledger) -> list[str]:
    return [str(one.state) for one in ledger.chunks("p1")]


@pytest.mark.parametrize(
    ("verdict", "marked"),
    [
        pytest.param(Verdict({}, [], []), ["verified"] * CHUNKS, id="all is equal"),
        pytest.param(Verdict({}, [], ["a key stands twice"]), ["copied"] * CHUNKS, id="the table is red as a whole"),
        pytest.param(Verdict({}, ["column a"], []), ["copied"] * CHUNKS, id="a column differs and nobody knows why"),
        pytest.param(
            Verdict({chunk(2).origin: "lost"}, ["column a"], []),
            ["verified", "verified", "failed", *["verified"] * (CHUNKS - 3)],
            id="a chunk is red, and a column with it",
        ),
    ],
)
def test_chunks_are_marked_a_page_at_a_time(ledger, verdict, marked) -> None:
    commits: list[object] = []
    event.listen(ledger.engine, "commit", commits.append)
    verifying._mark(work_with(ledger), PRODUCTS, verdict)
    assert states(ledger) == marked
    assert len(commits) == 2
    assert {one.counts for one in ledger.chunks("p1")} == {COUNTS}


def test_a_chunk_that_moved_meanwhile_stops_its_page(ledger) -> None:
    first, second = list(ledger.chunks("p1"))[2:4]
    ledger.move(second, ChunkState.FAILED)
    with pytest.raises(TerminalError, match=r"f00003.csv-0 is no longer copied"):
        ledger.store([(one, one.moved_to(ChunkState.VERIFIED)) for one in (first, second)])
    assert states(ledger)[2:4] == ["copied", "failed"]


class Unchanged:
    """A source whose objects are the planned ones, but for one."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.times = 0

    def opened(self) -> Unchanged:
        self.times += 1
        return self

    def check_unchanged(self, one: Chunk) -> None:
        self.asked.append(one.source_object)
        if one.source_object == "f00007.csv" and len(self.asked) > CHUNKS:
            raise TerminalError("f00007.csv changed after it was planned")


def test_a_source_is_opened_once_for_all_chunks(ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Unchanged()
    monkeypatch.setattr(works, "open_source", lambda *_address: source.opened())
    verifying._check_ready(work_with(ledger), PRODUCTS)
    assert (source.times, sorted(source.asked)) == (1, [f"f{number:05d}.csv" for number in range(CHUNKS)])
    with pytest.raises(TerminalError, match=r"f00007.csv changed"):
        verifying._check_ready(work_with(ledger), PRODUCTS)


def test_chunks_that_some_plan_has_are_known_and_those_of_drafts_are_not(ledger) -> None:
    keep_plan(ledger, plan("p2"), [chunk(number, plan_id="p2") for number in (1, CHUNKS)])
    with ledger.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chunks SET plan_id = 'draft-x' WHERE chunk_id LIKE '%f00005%'")
    known = list(known_chunks(ledger, PRODUCTS.name))
    assert known == [chunk(number).chunk_id for number in range(CHUNKS + 1) if number != 5]
    assert not list(known_chunks(ledger, "core.events"))
