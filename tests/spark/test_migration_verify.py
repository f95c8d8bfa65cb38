"""Settle, verify: one row a key whoever came first, and no difference between source and target goes unseen."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from migration import settling
from migration.chunks import Chunk, ChunkState
from migration.commits import changes_since
from migration.copying import copy_all, repair_chunk
from migration.healing import heal
from migration.reading import source_rows
from migration.settling import Settled, settle
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import create_root_key_file
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.fingerprints import fingerprint
from tests.migration_files import FUTURE, OldSystem, fingerprints, line, old_system, planned


def three_files(folder: Path) -> OldSystem:
    """Basket 3 stands in all three files, basket 4 in two, with other sales in each; one line is of the future."""
    system = old_system(folder)
    system.put("a", [line(1), line(2), line(3, sales_value="1.00")])
    system.put("b", [line(3, sales_value="2.00"), line(4, sales_value="3.00"), line(5), FUTURE])
    system.put("c*[x]c", [line(4, sales_value="4.00"), line(3, sales_value="5.00"), line(6)])
    return system


@pytest.fixture
def old(tmp_path) -> OldSystem:
    return three_files(tmp_path / "old")


@pytest.fixture
def work(old, lake, key_file) -> Iterator[Work]:
    with planned(old, lake, key_file) as ready:
        yield ready


@pytest.fixture(scope="module")
def settled_once(spark, tmp_path_factory) -> Path:
    """Old system, key, lake and ledger after copy and settlement: made once, copied for each test that begins there."""
    folder: Path = tmp_path_factory.mktemp("settled")
    create_root_key_file(folder / "keys" / "root.json")
    with planned(
        three_files(folder / "old"), Lake(spark, str(folder / "lake")), folder / "keys" / "root.json"
    ) as ready:
        copy_all(ready)
        settled(ready)
    return folder


@pytest.fixture
def at_rest(settled_once: Path, spark, tmp_path) -> Iterator[Work]:
    """Everything is copied and settled."""
    folder = shutil.copytree(settled_once, tmp_path / "settled")
    lake = Lake(spark, str(folder / "lake"))
    with planned(OldSystem(folder / "old"), lake, folder / "keys" / "root.json") as ready:
        yield ready


def settled(work: Work) -> Settled:
    found = settle(work.lake, ORDER_LINES, run_id=work.run_id)
    heal(work, ORDER_LINES)
    return found


def verify(work: Work) -> None:
    verify_table(work, work.mappings[0])


def run_sql(work: Work, statement: str) -> None:
    work.lake.spark.sql(statement.format(t=f"delta.`{work.lake.path_of(ORDER_LINES)}`"))


def sales(work: Work) -> dict[str, str]:
    return {row.order_id: str(row.sales_value) for row in delta.read(work.lake, ORDER_LINES).collect()}


def send_live(work: Work, *baskets: str, since: str = "1") -> None:
    """The live stream brings these baskets, as copies of migrated lines where there are such."""
    rows = delta.read(work.lake, ORDER_LINES).where(F.col("order_id").isin(list(baskets)))
    live = rows.withColumn("origin", F.lit("stream/databank.events/0")).withColumn("sales_value", F.lit("9.00"))
    delta.append(live, work.lake, ORDER_LINES, once=Transaction("stream", int(since)))


def test_of_rows_in_several_files_the_first_file_s_stays(work) -> None:
    copy_all(work)
    assert settled(work) == Settled(history=3)
    assert (sales(work)["3"], sales(work)["4"]) == ("1.00", "3.00")
    places = {c.source_object[-5]: (c.counts.good.rows, c.counts.duplicate) for c in chunks(work) if c.counts}
    assert places == {"a": (3, 0), "b": (2, 1), "c": (1, 2)}


def test_settling_goes_on_until_every_page_is_settled(work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "CHUNKS_PER_COMMIT", 1)
    copy_all(work)
    assert settled(work) == Settled(history=3)
    assert (sales(work)["3"], sales(work)["4"]) == ("1.00", "3.00")


def chunks(work: Work) -> list[Chunk]:
    return list(work.ledger.chunks(work.plan.plan_id))


def test_settling_again_changes_nothing(at_rest) -> None:
    before = delta.current_version(at_rest.lake, ORDER_LINES), fingerprints(at_rest.ledger, at_rest.plan.plan_id)
    assert settled(at_rest) == Settled()
    assert (
        delta.current_version(at_rest.lake, ORDER_LINES),
        fingerprints(at_rest.ledger, at_rest.plan.plan_id),
    ) == before


def test_history_goes_before_the_live_stream_whoever_came_first(at_rest) -> None:
    wanted = fingerprint(delta.read(at_rest.lake, ORDER_LINES), ORDER_LINES)
    send_live(at_rest, "1", "5")
    assert settled(at_rest) == Settled(live=2)
    assert fingerprint(delta.read(at_rest.lake, ORDER_LINES), ORDER_LINES) == wanted


def test_the_ledger_is_healed_of_a_settlement_that_it_never_heard_of(old, lake, key_file, tmp_path) -> None:
    with planned(old, lake, key_file) as work:
        copy_all(work)
        settle(work.lake, ORDER_LINES, run_id="killed before the ledger knew")
        heal(work, ORDER_LINES)
        wanted = fingerprints(work.ledger, work.plan.plan_id)
        for chunk in chunks(work):
            rows = delta.read(lake, ORDER_LINES).where(F.col("origin") == chunk.origin)
            assert fingerprint(rows, ORDER_LINES) == (chunk.counts and chunk.counts.good)
    with planned(old, lake, key_file, ledger=tmp_path / "new.sqlite") as work:
        heal(work, ORDER_LINES)
        assert fingerprints(work.ledger, work.plan.plan_id) == wanted


def test_a_green_verification_says_so_in_the_ledger(at_rest) -> None:
    facts = verify_table(at_rest, at_rest.mappings[0])
    assert {chunk.state for chunk in chunks(at_rest)} == {ChunkState.VERIFIED}
    assert facts["columns"]["sales_value"] == {"nulls": 0, "min": "1.00", "max": "3.00"}
    assert "min" not in facts["columns"]["subject_token"]
    verify(at_rest)  # again


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param("DELETE FROM {t} WHERE order_id = '2'", "position 3: lost from the target", id="a row lost"),
        pytest.param(
            "UPDATE {t} SET sales_value = 1.51 WHERE order_id = '2'",
            "position 3: changed in the target",
            id="a cent changed",
        ),
        pytest.param(
            "UPDATE {t} SET ordered_at = ordered_at + INTERVAL 1 MICROSECOND WHERE order_id = '2'",
            "position 3: changed in the target",
            id="a microsecond changed",
        ),
        pytest.param(
            "UPDATE {t} SET retail_disc = 1, coupon_disc = 0 WHERE order_id = '2'",
            "position 3: changed in the target",
            id="a discount in the wrong column",
        ),
        pytest.param(
            "INSERT INTO {t} SELECT * FROM {t} WHERE order_id = '2'",
            "position 3: 2 times in the target",
            id="a row doubled",
        ),
        pytest.param(
            "INSERT INTO {t} SELECT * FROM {t} WHERE order_id = '2' UNION ALL SELECT * FROM {t} WHERE order_id = '2'",
            "position 3: 3 times in the target",
            id="a row twice more",
        ),
        pytest.param("DELETE FROM {t} WHERE order_id = '3'", "lost from the target", id="the wrong one was settled"),
    ],
)
def test_damage_to_the_target_turns_verification_red_and_names_the_line(at_rest, damage, says) -> None:
    run_sql(at_rest, damage)
    with pytest.raises(TerminalError) as error:
        verify(at_rest)
    assert "transactions-a.csv" in str(error.value)
    assert says in str(error.value)
    states = {chunk.source_object[-5]: chunk.state for chunk in chunks(at_rest)}
    assert states == {"a": ChunkState.FAILED, "b": ChunkState.VERIFIED, "c": ChunkState.VERIFIED}


def test_a_red_chunk_stays_red_until_it_is_repaired(at_rest) -> None:
    wanted = fingerprints(at_rest.ledger, at_rest.plan.plan_id)
    run_sql(at_rest, "DELETE FROM {t} WHERE order_id = '5'")
    for _ in range(2):
        with pytest.raises(TerminalError):
            verify(at_rest)
        copy_all(at_rest)
        heal(at_rest, ORDER_LINES)
    repair_chunk(at_rest, next(name for name in wanted if "transactions-b" in name))
    assert settled(at_rest) == Settled(history=1)  # the repaired file brought basket 3 again
    verify(at_rest)
    assert fingerprints(at_rest.ledger, at_rest.plan.plan_id) == wanted


def test_lost_refused_lines_turn_verification_red_until_they_are_repaired(at_rest) -> None:
    at_rest.lake.spark.sql(f"DELETE FROM delta.`{at_rest.lake.path_of(QUARANTINE_ROWS)}`")
    with pytest.raises(TerminalError, match="quarantine holds 0 records, the source has 1 bad ones"):
        verify(at_rest)
    repair_chunk(at_rest, chunks(at_rest)[1].chunk_id)
    settled(at_rest)
    verify(at_rest)


def test_a_key_that_stands_twice_turns_verification_red(at_rest) -> None:
    send_live(at_rest, "1")
    with pytest.raises(TerminalError, match="natural keys stand more than once, 1 or more"):
        verify(at_rest)


def test_verification_that_cannot_run_is_a_failure(work, old) -> None:
    with pytest.raises(TerminalError, match="is planned, wanted copied"):
        verify(work)
    copy_all(work)
    settled(work)
    Path(old.export, "transactions", "transactions-a.csv").unlink()
    with pytest.raises(TerminalError, match="cannot be read"):
        verify(work)


def test_reading_all_chunks_shuffles_nothing_clear(work) -> None:
    plan = source_rows(work, work.mappings[0])._jdf.queryExecution().executedPlan().toString()
    assert "MapInArrow" in plan
    assert "Exchange hashpartitioning" not in plan
    assert "Exchange rangepartitioning" not in plan
    assert "Sort" not in plan


@pytest.fixture
def verified(at_rest) -> int:
    return int(verify_table(at_rest, at_rest.mappings[0])["version"])


@pytest.mark.parametrize(
    ("change", "is_let_through"),
    [
        pytest.param(lambda _work: None, True, id="nothing happened"),
        pytest.param(lambda work: send_live(work, "1"), True, id="the stream appended"),
        pytest.param(
            lambda work: work.lake.spark.sql(f"OPTIMIZE delta.`{work.lake.path_of(ORDER_LINES)}`"),
            True,
            id="compaction",
        ),
        pytest.param(
            lambda work: work.lake.spark.sql(
                f"DELETE FROM delta.`{work.lake.path_of(ORDER_LINES)}` WHERE order_id = '1'"
            ),
            False,
            id="a row was deleted",
        ),
        pytest.param(lambda work: repair_chunk(work, chunks(work)[0].chunk_id), False, id="a chunk was written again"),
    ],
)
def test_what_came_after_a_verification_is_known(
    at_rest, verified, change: Callable[[Work], object], is_let_through: bool
) -> None:
    change(at_rest)
    assert (changes_since(at_rest.lake, ORDER_LINES, verified) == "") is is_let_through
