"""Copy: every record has one place, once, whatever happens; nothing clear is written anywhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from migration import copying, quarantining, reading
from migration.chunks import Chunk, ChunkState, Counts
from migration.copying import copy_all, repair_chunk
from migration.healing import heal
from migration.mirror import mirror
from migration.pace import Pace
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import MIGRATION_CHUNKS, QUARANTINE_ROWS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.sealing import unseal
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.fingerprints import fingerprint
from tests.clear_text import clear_values_in
from tests.migration_files import OldSystem, fingerprints, line, old_system, planned

BROKEN = (line(90).replace(",330,", ",\xff,").encode("latin-1"), line(91, quantity="x").encode(), b"only,three,columns")


@pytest.fixture
def old(tmp_path) -> OldSystem:
    system = old_system(tmp_path / "old")
    # Line 1 is the header: broken lines are 3 and 6 of file a, 2 of file b; line 5 of a repeats line 2.
    system.put("a", [line(1), BROKEN[0], line(2), line(1), BROKEN[1]])
    system.put("b", [BROKEN[2], line(11), line(12), line(13)])
    return system


@pytest.fixture
def work(old, lake, key_file) -> Iterator[Work]:
    with planned(old, lake, key_file) as ready:
        yield ready


def versions(work: Work) -> int:
    return delta.current_version(work.lake, ORDER_LINES)


def test_every_record_has_its_place(work) -> None:
    copy_all(work)
    counts = [chunk.counts for chunk in work.ledger.chunks(work.plan.plan_id)]
    places = [(c.read, c.good.rows, c.quarantined, c.duplicate) for c in counts if c]
    assert places == [(5, 3, 2, 0), (4, 3, 1, 0)]
    rows = delta.read(work.lake, ORDER_LINES).select("order_id", "origin_position").collect()
    assert sorted((row.order_id, row.origin_position) for row in rows) == [
        *(("1", 2), ("1", 5), ("11", 3), ("12", 4), ("13", 5)),
        ("2", 4),
    ]


def test_refused_lines_are_kept_sealed_with_reason_file_and_line(work) -> None:
    copy_all(work)
    rows = delta.read(work.lake, QUARANTINE_ROWS).collect()
    keys = load_root_keys(work.key_file)
    assert {
        (Path(row.source_object).stem, row.position, row.reason, unseal(row.sealed, keys, kid=row.kid)) for row in rows
    } == {
        ("transactions-a", 3, "not valid UTF-8", BROKEN[0]),
        ("transactions-a", 6, "quantity: not a bigint", BROKEN[1]),
        ("transactions-b", 2, "wanted 11 columns", BROKEN[2]),
    }
    (version,) = {row.rule_version for row in rows}
    assert version == work.mappings[0].version


def test_the_ledger_holds_the_fingerprint_of_what_stands_in_the_target(work) -> None:
    copy_all(work)
    target = delta.read(work.lake, ORDER_LINES)
    for chunk in work.ledger.chunks(work.plan.plan_id):
        assert chunk.state is ChunkState.COPIED
        assert chunk.counts is not None
        assert fingerprint(target.where(F.col("origin") == chunk.origin), ORDER_LINES) == chunk.counts.good


def test_the_commit_says_what_it_holds(work) -> None:
    copy_all(work)
    log = Path(work.lake.path_of(ORDER_LINES)) / "_delta_log"
    lines = [json.loads(text) for path in sorted(log.glob("*.json")) for text in path.read_text().splitlines()]
    facts = [json.loads(one["commitInfo"].get("userMetadata", "{}")) for one in lines if "commitInfo" in one]
    names = ("read", "rows", "quarantined", "duplicate")
    told = {fact["chunk"]: tuple(fact[name] for name in names) for fact in facts if "chunk" in fact}
    assert sorted(told.values()) == [(4, 3, 1, 0), (5, 3, 2, 0)]
    applications = Counter(one["txn"]["appId"] for one in lines if "txn" in one)
    assert applications == dict.fromkeys(["migration/lease/history", *(f"migration/{name}" for name in told)], 1)


def test_copying_again_changes_nothing(work) -> None:
    copy_all(work)
    before = versions(work), fingerprints(work.ledger, work.plan.plan_id)
    copy_all(work)
    assert (versions(work), fingerprints(work.ledger, work.plan.plan_id)) == before


def test_a_chunk_that_is_copied_again_after_its_commit_is_not_there_twice(work, monkeypatch) -> None:
    """The process dies between Delta's commit and the ledger: the ledger says copying, the target has the rows."""
    moves = work.ledger.move

    def die(chunk: Chunk, state: ChunkState, *, counts: Counts | None = None, message: str = "") -> Chunk:
        if state is ChunkState.COPIED:
            raise KeyboardInterrupt
        moved: Chunk = moves(chunk, state, counts=counts, message=message)
        return moved

    monkeypatch.setattr(work.ledger, "move", die)
    with pytest.raises(KeyboardInterrupt):
        copy_all(work, pace=Pace(parallel=1))
    monkeypatch.undo()
    committed = versions(work)
    copy_all(work, pace=Pace(parallel=1))  # without healing: the transaction alone keeps the rows from coming twice
    assert delta.read(work.lake, ORDER_LINES).count() == 6
    assert delta.read(work.lake, QUARANTINE_ROWS).count() == 3
    assert versions(work) == committed + 1  # the other chunk's
    first = fingerprints(work.ledger, work.plan.plan_id)
    heal(work, ORDER_LINES)
    assert fingerprints(work.ledger, work.plan.plan_id) == first


def test_a_lost_ledger_is_healed_from_the_target_s_log(old, lake, key_file, tmp_path) -> None:
    with planned(old, lake, key_file) as work:
        copy_all(work)
        wanted = fingerprints(work.ledger, work.plan.plan_id)
    with planned(old, lake, key_file, ledger=tmp_path / "new.sqlite") as work:
        assert set(fingerprints(work.ledger, work.plan.plan_id).values()) == {None}
        assert heal(work, ORDER_LINES) == 2
        assert fingerprints(work.ledger, work.plan.plan_id) == wanted
        before = versions(work)
        copy_all(work)
        assert versions(work) == before


@pytest.mark.thorough
def test_a_lost_target_is_copied_again(old, lake, key_file, tmp_path) -> None:
    with planned(old, lake, key_file) as work:
        copy_all(work)
        wanted = fingerprints(work.ledger, work.plan.plan_id)
        Path(work.lake.path_of(ORDER_LINES)).rename(tmp_path / "away")
        heal(work, ORDER_LINES)
        assert {chunk.state for chunk in work.ledger.chunks(work.plan.plan_id)} == {ChunkState.PLANNED}
        copy_all(work)
        assert fingerprints(work.ledger, work.plan.plan_id) == wanted


def test_a_file_that_changed_after_planning_is_refused_and_the_others_are_copied(work, old) -> None:
    old.put("a", [line(1), line(2)])
    with pytest.raises(TerminalError, match=r"transactions-a\.csv changed after it was planned"):
        copy_all(work, pace=Pace(parallel=1))
    assert only_b_is_there(work)
    states = [chunk.state for chunk in work.ledger.chunks(work.plan.plan_id)]
    assert states == [ChunkState.FAILED, ChunkState.COPIED]


def only_b_is_there(work: Work) -> bool:
    """Of file a stand neither rows nor refused records anywhere."""
    origins = {chunk.origin for chunk in work.ledger.chunks(work.plan.plan_id) if "transactions-b" in chunk.chunk_id}
    found = [delta.read(work.lake, table).select("origin") for table in (ORDER_LINES, QUARANTINE_ROWS)]
    return {row.origin for rows in found for row in rows.collect()} == origins


def test_a_file_that_changes_while_it_is_read_is_refused(work, old, monkeypatch) -> None:
    checked = copying._checked

    def change_after_reading(*args: Any, **how: Any) -> Counts:
        old.put("a", [line(1)])
        return checked(*args, **how)

    monkeypatch.setattr(copying, "_checked", change_after_reading)
    with pytest.raises(TerminalError, match="changed after it was planned"):
        copy_all(work, pace=Pace(parallel=1))
    assert only_b_is_there(work)


def test_too_many_bad_rows_stop_a_chunk_before_anything_is_written(tmp_path, lake, key_file) -> None:
    old = old_system(tmp_path / "old", bad_share=0.25)
    old.put("a", [line(1), line(2), line(3), BROKEN[2]])
    old.put("b", [line(4), BROKEN[2]])
    with planned(old, lake, key_file) as work:
        with pytest.raises(TerminalError, match=r"1 of 2 records are refused, more than the accepted share of 0\.25"):
            copy_all(work, pace=Pace(parallel=1))
        assert delta.read(lake, ORDER_LINES).count() == 3
        assert delta.read(lake, QUARANTINE_ROWS).count() == 1
        assert files_in(lake, ORDER_LINES) == len(delta.read(lake, ORDER_LINES).inputFiles())  # none of the other chunk


def files_in(lake: Lake, table: Table) -> int:
    """Files of rows, with a commit or without."""
    return len([path for path in Path(lake.path_of(table)).rglob("*.parquet") if "_delta_log" not in path.parts])


def test_a_record_that_gets_lost_on_the_way_is_noticed_before_the_commit(work, monkeypatch) -> None:
    monkeypatch.setattr(copying, "rows_of", lambda *args: reading.rows_of(*args).where(F.col("line") != 4))
    with pytest.raises(TerminalError, match="planned 5 records, read 4"):
        copy_all(work, pace=Pace(parallel=1))
    assert delta.read(work.lake, ORDER_LINES).count() == 0


def test_a_refused_record_that_gets_lost_on_its_way_to_quarantine_is_noticed(work, monkeypatch) -> None:
    def fewer(*args: Any, **among: Any) -> DataFrame:
        return reading.refused_of(*args, **among).where("line != 3")

    monkeypatch.setattr(copying, "refused_of", fewer)
    with pytest.raises(TerminalError, match="2 records were refused, and 1 when they were read again"):
        copy_all(work, pace=Pace(parallel=1))
    assert only_b_is_there(work)


def test_a_file_without_good_records_is_copied_too(tmp_path, lake, key_file) -> None:
    old = old_system(tmp_path / "old")
    old.put("empty", [])
    old.put("bad", [b"x", b"y"])
    with planned(old, lake, key_file) as work:
        copy_all(work)
        counts = Counter((c.counts.read, c.counts.good.rows) for c in work.ledger.chunks(work.plan.plan_id) if c.counts)
        assert counts == {(0, 0): 1, (2, 0): 1}


@pytest.mark.thorough
def test_repair_replaces_what_the_target_holds_of_a_chunk(work, monkeypatch) -> None:
    copy_all(work)
    wanted = fingerprints(work.ledger, work.plan.plan_id)
    path = work.lake.path_of(ORDER_LINES)
    work.lake.spark.sql(f"DELETE FROM delta.`{path}` WHERE order_id = '12'")
    chunk_id = next(name for name in wanted if "transactions-b" in name)
    take_out, attempts = quarantining.take_out_older, []

    def met_by_the_stream(*args: Any) -> None:
        take_out(*args)
        attempts.append(args)
        if len(attempts) == 1:  # a late row of a day that the chunk has rows of
            late = delta.read(work.lake, ORDER_LINES).where("order_id = '13'")
            live = late.withColumns({"order_id": F.lit("14"), "origin": F.lit("stream/databank.events/0")})
            delta.append(live, work.lake, ORDER_LINES, once=Transaction("stream", 1))

    monkeypatch.setattr(copying, "take_out_older", met_by_the_stream)
    repair_chunk(work, chunk_id)
    assert len(attempts) == 2
    heal(work, ORDER_LINES)
    assert fingerprints(work.ledger, work.plan.plan_id) == wanted
    assert delta.read(work.lake, ORDER_LINES).count() == 7
    assert delta.read(work.lake, QUARANTINE_ROWS).count() == 3


def test_another_mapping_after_copying_is_refused(old, lake, key_file) -> None:
    with planned(old, lake, key_file) as work:
        copy_all(work)
    mapping = old.folder / "order_lines.yaml"
    mapping.write_text(mapping.read_text().replace("min: 0", "min: 1"))
    with (
        planned(old, lake, key_file) as work,
        pytest.raises(TerminalError, match="was copied with mapping version"),
    ):
        heal(work, ORDER_LINES)


@pytest.mark.thorough
def test_the_mirror_shows_the_ledger_and_is_not_rewritten_without_need(work) -> None:
    mirror(work)
    copy_all(work)
    mirror(work)
    version = delta.current_version(work.lake, MIGRATION_CHUNKS)
    mirror(work)
    rows = delta.read(work.lake, MIGRATION_CHUNKS).collect()
    assert {(row.state, row.rows_good) for row in rows} == {("copied", 3)}
    files = Path(work.lake.path_of(MIGRATION_CHUNKS), "_delta_log", f"{version + 1:020d}.json")
    assert not files.exists() or '"add"' not in files.read_text()


def test_no_clear_identifier_is_in_any_written_byte(tmp_path, lake, key_file, spark_settings) -> None:
    canaries = [str(13_900_000_000 + number * 7_919) for number in range(60)]
    old = old_system(tmp_path / "old")
    good = [line(number, household_id=canary) for number, canary in enumerate(canaries)]
    refused = [line(98, household_id=canaries[0], quantity="x"), line(99, household_id=f'"{canaries[1]}')]
    old.put("a", [*good, *good[:5], *refused])
    with planned(old, lake, key_file) as work:
        copy_all(work)
        mirror(work)
    (tmp_path / "ledger").mkdir()
    for path in tmp_path.glob("ledger.sqlite*"):
        path.rename(tmp_path / "ledger" / path.name)
    clear = {canary.encode() for canary in canaries}
    assert clear_values_in(old.export, clear)  # the scan finds what is there to be found
    for folder in (Path(lake.root), tmp_path / "ledger", Path(spark_settings.local_dir)):
        assert clear_values_in(folder, clear) == []
