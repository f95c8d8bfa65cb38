"""Planning again: what is not read a second time, and that files are hashed once more when they are verified."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from sqlalchemy import update

from migration import drafts
from migration.ledger import Ledger, open_ledger
from migration.ledger_schema import PLANS
from migration.planning import draft_plan
from migration.rehashing import rehashed
from migration.sources.files import Files
from migration.sources.folders import DiskFolder
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from tests.migration_drafts import chunks_of, draft_of, source
from tests.migration_files import OldSystem, line, old_system


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def old(tmp_path) -> OldSystem:
    return old_system(tmp_path / "old")


def test_a_file_that_is_as_it_was_planned_is_not_read_again(old, ledger, monkeypatch) -> None:
    path = old.put("a", [line(1)])
    first = draft_of(old, ledger).plan
    drafts.adopt(ledger, first)
    read = reads_of(monkeypatch)
    assert draft_of(old, ledger).plan.plan_id == first.plan_id
    assert read == []
    draft_plan(old.job(), ledger, source(old), is_reread=True)
    assert read == ["transactions/transactions-a.csv"]
    os.utime(path, (1, 1))
    draft_of(old, ledger)
    assert len(read) == 2


@pytest.mark.parametrize("change", ["the mapping", "the folder"])
def test_a_file_is_read_again_where_more_than_itself_is_another(old, ledger, monkeypatch, change) -> None:
    old.put("a", [line(1)])
    drafts.adopt(ledger, draft_of(old, ledger).plan)
    read = reads_of(monkeypatch)
    if change == "the mapping":
        mapping = old.folder / "order_lines.yaml"
        mapping.write_text(mapping.read_text().replace("min: 0", "min: 1"))
        draft_of(old, ledger)
    else:
        moved = old.export.rename(old.folder / "moved")
        draft_plan(old.job(), ledger, Files(DiskFolder(moved)))
    assert len(read) == 1


def test_of_a_file_that_had_two_contents_of_one_size_and_time_none_is_believed(old, ledger, monkeypatch) -> None:
    path = old.put("a", [line(1)])
    time_ns = path.stat().st_mtime_ns
    drafts.adopt(ledger, draft_of(old, ledger).plan)
    old.put("a", [line(2)])
    os.utime(path, ns=(time_ns, time_ns))
    other = draft_plan(old.job(), ledger, source(old), is_reread=True).plan
    drafts.adopt(ledger, other)
    read = reads_of(monkeypatch)
    assert draft_of(old, ledger).plan.plan_id == other.plan_id
    assert len(read) == 1


def reads_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that are read from now on."""
    blocks, read = DiskFolder.blocks, []

    def reading(folder: DiskFolder, name: str) -> Iterator[bytes]:
        read.append(name)
        return blocks(folder, name)

    monkeypatch.setattr(DiskFolder, "blocks", reading)
    return read


def test_other_bytes_of_the_same_size_and_time_are_noticed(old, ledger) -> None:
    path = old.put("a", [line(1)])
    (chunk,) = chunks_of(old, ledger)
    assert source(old).content_problem(chunk, lambda: True) == ""
    old.put("a", [line(2)])
    os.utime(path, ns=(1, chunk.mtime_ns))
    source(old).check_unchanged(chunk)
    assert "its content changed, its size and time did not" in source(old).content_problem(chunk, lambda: True)
    assert source(old).content_problem(chunk, lambda: False) == ""  # nobody waits for it any more


def test_files_are_hashed_once_more_while_something_else_is_done(old, ledger) -> None:
    paths = [old.put(name, [line(1)]) for name in "abc"]
    draft = draft_of(old, ledger)
    drafts.adopt(ledger, draft.plan)
    old.put("b", [line(2)])
    paths[2].unlink()
    work = cast("Work", SimpleNamespace(source=source(old), ledger=ledger, plan=draft.plan))
    with rehashed(work, ORDER_LINES) as others:
        found = others()
    ids = [chunk.chunk_id for chunk in ledger.chunks(draft.plan.plan_id)]
    assert list(found) == ids[1:]
    assert "SHA-256" in found[ids[1]]
    assert "put the planned file back" in found[ids[2]]


def test_a_plan_that_took_mended_mappings_over_is_found_again(old, ledger) -> None:
    old.put("a", [line(1)])
    old.put("b", [line(2)])
    first = draft_of(old, ledger).plan
    drafts.adopt(ledger, first)
    mapping = old.folder / "order_lines.yaml"
    mapping.write_text(mapping.read_text().replace("min: 0", "min: 1"))
    mended = draft_of(old, ledger).plan
    assert mended.plan_id != first.plan_id
    with ledger.engine.begin() as connection:
        connection.execute(update(PLANS).values(job_version=mended.job_version))
    assert draft_of(old, ledger).plan.plan_id == first.plan_id
    old.put("c", [line(3)])
    assert draft_of(old, ledger).plan.plan_id not in (first.plan_id, mended.plan_id)
