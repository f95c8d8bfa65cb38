"""Planning: what is taken exactly as it is, what is not, and how a later change is noticed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from migration import drafts
from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import Ledger, open_ledger
from migration.overview import not_taken
from migration.planning import draft_plan
from migration.sources.files import Files
from migration.sources.folders import DiskFolder
from spark_jobs.errors import TerminalError
from spark_jobs.storage.fingerprints import EMPTY
from tests.migration_drafts import chunks_of, draft_of, source
from tests.migration_files import HEADER, OldSystem, line, old_system


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def old(tmp_path) -> OldSystem:
    return old_system(tmp_path / "old")


def reasons(old: OldSystem, ledger: Ledger) -> dict[str, str]:
    return {Path(one.source_object).stem: one.reason for one in draft_of(old, ledger).refused}


def test_a_plan_holds_size_time_hash_records_and_header(old, ledger) -> None:
    path = old.put("a", [line(1), line(2)])
    (chunk,) = chunks_of(old, ledger)
    assert (chunk.bytes, chunk.mtime_ns) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (chunk.records, chunk.header, len(chunk.sha256)) == (2, HEADER, 64)
    assert chunk.chunk_id.startswith("core.order_lines/transactions-a.csv-")


@pytest.mark.parametrize(
    ("tail", "records"),
    [
        pytest.param(b"", 0, id="a header alone"),
        pytest.param(b"x\n", 1, id="one line"),
        pytest.param(b"x\ny", 2, id="the last line has no end"),
        pytest.param(b"\n\n", 2, id="blank lines count: each gets its place"),
    ],
)
def test_records_are_lines_but_the_header(old, ledger, tail, records) -> None:
    path = old.put("a", [])
    path.write_bytes(path.read_bytes() + tail)
    assert chunks_of(old, ledger)[0].records == records


def test_a_byte_order_mark_and_another_order_of_columns_are_taken(old, ledger) -> None:
    path = old.put("a", [line(1)], header=tuple(reversed(HEADER)))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert chunks_of(old, ledger)[0].header == tuple(reversed(HEADER))


@pytest.mark.parametrize(
    ("header", "says"),
    [
        pytest.param(HEADER[1:], "column 'household_id' is missing", id="missing"),
        pytest.param((*HEADER, "colour"), "column 'colour' is not mapped", id="new"),
        pytest.param((*HEADER, "week"), "column 'week' stands twice", id="twice"),
        pytest.param(("a;b",), "column 'a;b' is not mapped", id="another delimiter"),
    ],
)
def test_a_header_that_is_not_the_mapping_s_is_refused(old, ledger, header, says) -> None:
    old.put("a", [line(1)], header=header)
    assert says in reasons(old, ledger)["transactions-a"]


def test_a_file_that_cannot_be_read_is_refused(old, ledger) -> None:
    old.put("a", [line(1)])
    (old.export / "transactions" / "transactions-b.csv").write_bytes(b"\xff\xfe\n")
    assert set(reasons(old, ledger)) == {"transactions-b"}


def test_no_file_of_a_mapping_is_refused(old, ledger) -> None:
    (old.export / "notes.txt").write_text("hello")
    assert reasons(old, ledger) == {"transactions-*": "no file has such a name"}


def test_a_folder_that_is_none_or_has_nothing_in_it_is_named(old, ledger) -> None:
    for _ in range(2):
        with pytest.raises(TerminalError, match="is no folder that can be read, or has nothing in it"):
            draft_of(old, ledger)
        if old.export.exists():
            old.export.rmdir()


def test_files_without_a_mapping_are_named_and_not_taken(old, ledger) -> None:
    old.put("a", [line(1)])
    (old.export / "notes.txt").write_text("hello")
    assert draft_of(old, ledger).unnamed == ["notes.txt"]


def test_the_same_files_give_the_same_plan_whenever_it_is_made(old, ledger) -> None:
    path = old.put("a", [line(1)])
    first, chunks = draft_of(old, ledger), chunks_of(old, ledger)
    os.utime(path, (1, 1))
    assert draft_of(old, ledger).plan.plan_id == first.plan.plan_id
    assert [c.chunk_id for c in chunks_of(old, ledger)] == [c.chunk_id for c in chunks]


def test_a_further_file_makes_another_plan_with_the_same_old_chunks(old, ledger) -> None:
    old.put("b", [line(1)])
    first, chunks = draft_of(old, ledger), chunks_of(old, ledger)
    old.put("a", [line(2)])
    assert draft_of(old, ledger).plan.plan_id != first.plan.plan_id
    assert {c.chunk_id for c in chunks} < {c.chunk_id for c in chunks_of(old, ledger)}


def test_a_plan_that_is_made_again_is_in_force_again(old, ledger) -> None:
    path = old.put("a", [line(1)])
    plans = []
    for lines in ([line(1)], [line(2)], [line(1)]):
        old.put("a", lines)
        draft = draft_of(old, ledger)
        drafts.adopt(ledger, draft.plan)
        plans.append(draft.plan.plan_id)
        assert ledger.plan_in_force(old.job().name).plan_id == draft.plan.plan_id
    assert plans[0] == plans[2] != plans[1]
    (chunk,) = ledger.chunks(plans[0])
    assert chunk.mtime_ns == path.stat().st_mtime_ns


def test_a_source_that_moved_is_read_where_it_is_now(old, ledger) -> None:
    old.put("a", [line(1)])
    first = draft_of(old, ledger).plan
    drafts.adopt(ledger, first)
    moved = old.export.rename(old.folder / "moved")
    draft = draft_plan(old.job(), ledger, Files(DiskFolder(moved)))
    drafts.adopt(ledger, draft.plan)
    assert ledger.plans() == [replace(first, source=str(moved))]


def test_what_a_plan_does_not_take_is_kept_with_it_as_it_was_seen_last(old, ledger) -> None:
    old.put("a", [line(1)])
    old.put("b", [line(2)], header=("colour",))
    notes = old.export / "notes.txt"
    notes.write_text("hello")
    draft = draft_of(old, ledger)
    assert not_taken(ledger, draft.plan.plan_id, most=9)["refused"] == 0  # it is not in force yet
    drafts.adopt(ledger, draft.plan)
    found = not_taken(ledger, draft.plan.plan_id, most=1)
    (refused,) = draft.refused
    assert found == {
        "refused": 1,
        "unnamed": 1,
        "shown": [{"source_object": refused.source_object, "reason": refused.reason}],
    }
    notes.unlink()
    again = draft_of(old, ledger)
    drafts.adopt(ledger, again.plan)
    assert again.plan.plan_id == draft.plan.plan_id
    assert not_taken(ledger, draft.plan.plan_id, most=9)["unnamed"] == 0


@pytest.fixture
def chunk(old: OldSystem, ledger: Ledger) -> Chunk:
    """The chunk of a plan over one file, of which there is another content now."""
    old.put("a", [line(1)])
    draft = draft_of(old, ledger)
    drafts.adopt(ledger, draft.plan)
    (found,) = ledger.chunks(draft.plan.plan_id)
    old.put("a", [line(2)])
    return found


@pytest.mark.parametrize(
    "states",
    [
        pytest.param((), id="copied"),
        pytest.param((ChunkState.FAILED,), id="red"),
        pytest.param((ChunkState.FAILED, ChunkState.COPYING), id="killed while it was repaired"),
    ],
)
def test_a_copied_file_with_new_content_is_refused(old, ledger, chunk, states) -> None:
    chunk = ledger.move(ledger.move(chunk, ChunkState.COPYING), ChunkState.COPIED, counts=Counts(1, 0, 0, EMPTY))
    for state in states:
        chunk = ledger.move(chunk, state)
    assert "another content of it was copied as" in reasons(old, ledger)["transactions-a"]


@pytest.mark.parametrize("has_failed", [False, True])
def test_a_file_that_is_not_in_the_target_may_have_new_content(old, ledger, chunk, has_failed) -> None:
    copied = ledger.move(ledger.move(chunk, ChunkState.COPYING), ChunkState.COPIED, counts=Counts(1, 0, 0, EMPTY))
    lost = ledger.move(copied, ChunkState.PLANNED)
    assert lost == chunk
    if has_failed:
        ledger.move(ledger.move(lost, ChunkState.COPYING), ChunkState.FAILED, message="the disk is full")
    assert reasons(old, ledger) == {}


@pytest.mark.parametrize("change", ["longer", "newer", "gone"])
def test_a_change_after_planning_is_noticed(old, ledger, change) -> None:
    path = old.put("a", [line(1)])
    (chunk,) = chunks_of(old, ledger)
    source(old).check_unchanged(chunk)
    if change == "longer":
        path.write_bytes(path.read_bytes() + b"\n")
    elif change == "newer":
        os.utime(path, ns=(1, chunk.mtime_ns + 1))
    else:
        path.unlink()
    with pytest.raises(TerminalError, match=r"changed after it was planned|cannot be read"):
        source(old).check_unchanged(chunk)
