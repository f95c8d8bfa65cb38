"""Plans over a table that lives on: what was planned or copied stays as it is, and only what is behind it is added."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from migration import drafts
from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import Ledger, open_ledger
from migration.planning import Draft, draft_plan
from migration.sources.ranges import Range
from spark_jobs.storage.fingerprints import EMPTY
from tests.migration_tables import KINDS, OldDatabase, job_in, old_database, product_mapping


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[OldDatabase]:
    with old_database(request.param) as old:
        yield old


@pytest.fixture
def old(server: OldDatabase) -> OldDatabase:
    """Keys 0 to 24, with an index that is not unique."""
    server.empty()
    server.keyed("bigint", [str(number) for number in range(25)])
    return server


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


class Planner:
    """Plans the table again and again, as `migration plan` does."""

    def __init__(self, old: OldDatabase, ledger: Ledger, folder: Path) -> None:
        self.old, self.ledger, self.folder = old, ledger, folder

    def draft(self, **changes: object) -> Draft:
        job = job_in(self.folder, self.old.address, product_mapping(**changes))
        return draft_plan(job, self.ledger, self.old.source)

    def adopt(self, **changes: object) -> list[Chunk]:
        draft = self.draft(**changes)
        drafts.adopt(self.ledger, draft.plan)
        return list(self.ledger.chunks(draft.plan.plan_id))

    def copied(self, chunk: Chunk) -> None:
        counts = Counts(chunk.records, 0, 0, EMPTY)
        self.ledger.move(self.ledger.move(chunk, ChunkState.COPYING), ChunkState.COPIED, counts=counts)


@pytest.fixture
def planner(old, ledger, tmp_path) -> Planner:
    return Planner(old, ledger, tmp_path)


def ranges(chunks: list[Chunk]) -> list[tuple[str | None, str | None, int]]:
    found = [(Range.parse(chunk.part), chunk.records) for chunk in chunks]
    return [(one.after, one.upto, records) for one, records in found]


FIRST = [(None, "9", 10), ("9", "19", 10), ("19", "24", 5)]


def test_the_same_rows_are_the_same_plan(planner) -> None:
    first, again = planner.draft(), planner.draft()
    assert first.plan.plan_id == again.plan.plan_id
    assert (first.chunks, first.records, first.bytes > 0) == (3, 25, True)
    assert ranges(planner.adopt()) == FIRST
    assert ranges(planner.adopt()) == FIRST


def test_new_rows_are_new_ranges_behind_the_old_ones(planner, old) -> None:
    before = planner.adopt()
    old.insert([f"{number}, {number}" for number in range(25, 40)] + ["100, NULL"])
    after = planner.adopt()
    assert ranges(after) == [(None, None, 1), *FIRST, ("24", "34", 10), ("34", "39", 5)]
    assert [chunk.chunk_id for chunk in before] == [chunk.chunk_id for chunk in after[1:4]]
    old.insert(["41, 41", "101, NULL"])
    assert ranges(planner.adopt()) == [(None, None, 2), *FIRST, ("24", "34", 10), ("34", "39", 5), ("39", "41", 1)]


def test_a_range_has_the_time_of_its_count_until_it_is_another_one(planner, old) -> None:
    before = planner.adopt()
    old.insert(["41, 5", "42, 42"])
    after = planner.adopt()
    assert [chunk.records for chunk in after] == [11, 10, 5, 1]
    assert [chunk.mtime_ns for chunk in after[1:3]] == [chunk.mtime_ns for chunk in before[1:]]
    assert after[0].mtime_ns == after[3].mtime_ns > before[0].mtime_ns > 0


def test_a_table_that_was_empty_gets_its_ranges_later(planner, old) -> None:
    old.execute("DELETE FROM old.items")
    (empty,) = planner.adopt()
    planner.copied(empty)
    old.insert(["1, 1", "2, NULL"])
    draft = planner.draft()
    assert draft.refused == []
    assert (draft.chunks, draft.records) == (3, 2)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("INSERT INTO old.items VALUES (100, 15)", id="a row more"),
        pytest.param("DELETE FROM old.items WHERE k = 15", id="a row less"),
        pytest.param("UPDATE old.items SET k = 25 WHERE k = 15", id="a row that went to another range"),
    ],
)
def test_a_copied_range_with_other_rows_is_refused(planner, old, change) -> None:
    chunks = planner.adopt()
    planner.copied(chunks[1])
    old.execute(change)
    draft = planner.draft()
    (refused,) = draft.refused
    assert refused.source_object == chunks[1].chunk_id
    assert "it was copied with 10 records and has" in refused.reason
    assert chunks[1].chunk_id not in list(drafts.chunk_ids(planner.ledger, "tables"))


def test_rows_before_the_first_range_belong_to_it(planner, old) -> None:
    chunks = planner.adopt()
    planner.copied(chunks[0])
    old.insert(["100, -100"])
    assert [one.source_object for one in planner.draft().refused] == [chunks[0].chunk_id]


def test_a_range_that_is_not_copied_takes_its_new_count(planner, old) -> None:
    planner.copied(planner.adopt()[0])
    old.insert(["100, 15"])
    after = planner.adopt()
    assert ranges(after) == [(None, "9", 10), ("9", "19", 11), ("19", "24", 5)]
    assert [chunk.state for chunk in after] == [ChunkState.COPIED, ChunkState.PLANNED, ChunkState.PLANNED]


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"where": "k < 20"}, id="another condition"),
        pytest.param({"split_by": "id", "ignore": ["k"]}, id="another column to split by"),
    ],
)
def test_after_a_copy_the_table_is_not_cut_in_another_way(planner, changes) -> None:
    copied = planner.adopt()[1]
    planner.copied(copied)
    draft = planner.draft(**changes)
    assert [one.source_object for one in draft.refused] == [f"{planner.old.address}/old.items"]
    assert f"in other parts, such as {copied.chunk_id}" in draft.refused[0].reason
    assert draft.chunks == 0


def test_a_range_that_fell_out_of_a_plan_is_not_forgotten(planner, old) -> None:
    chunks = planner.adopt()
    planner.copied(chunks[1])
    old.execute("DELETE FROM old.items WHERE k = 15")
    assert len(planner.adopt()) == 2  # planned without what was refused
    assert "in other parts" in planner.draft().refused[0].reason


@pytest.mark.parametrize(
    ("is_begun", "counts"),
    [
        pytest.param(False, [5, 5, 5, 5, 5], id="before anything is copied it is cut anew"),
        pytest.param(True, [10, 10, 5, 5], id="afterwards, only what is new"),
    ],
)
def test_another_number_of_rows_a_chunk(planner, old, is_begun, counts) -> None:
    chunks = planner.adopt()
    if is_begun:
        planner.ledger.move(chunks[0], ChunkState.COPYING)
        old.insert([f"{number}, {number}" for number in range(25, 30)])
    assert [chunk.records for chunk in planner.adopt(chunk_rows=5)] == counts


def test_a_range_can_be_read_from_its_text(planner) -> None:
    for chunk in planner.adopt():
        assert Range.parse(chunk.part).part == chunk.part
