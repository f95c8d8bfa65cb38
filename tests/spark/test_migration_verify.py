"""Verify: no difference between source and target goes unseen, and what agrees is green."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from migration.chunks import ChunkState
from migration.commits import changes_since
from migration.copying import copy_all, repair_chunk
from migration.healing import heal
from migration.reading import source_rows
from migration.settling import Settled
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction
from tests.migration_files import OldSystem, fingerprints, planned
from tests.settled_history import chunks, run_sql, send_live, settled, states, three_files


@pytest.fixture
def old(tmp_path) -> OldSystem:
    return three_files(tmp_path / "old")


@pytest.fixture
def work(old, lake, key_file) -> Iterator[Work]:
    with planned(old, lake, key_file) as ready:
        yield ready


def verify(work: Work) -> None:
    verify_table(work, work.mappings[0])


def test_a_green_verification_says_so_in_the_ledger(at_rest) -> None:
    facts = verify_table(at_rest, at_rest.mappings[0])
    assert {chunk.state for chunk in chunks(at_rest)} == {ChunkState.VERIFIED}
    assert facts["columns"]["sales_value"] == {"nulls": 0, "min": "1.00", "max": "3.00"}
    assert "min" not in facts["columns"]["subject_token"]
    verify(at_rest)  # again


@pytest.mark.parametrize(
    ("damage", "says", "others"),
    [
        pytest.param(
            "DELETE FROM {t} WHERE order_id = '2'", "position 3: lost from the target", "verified", id="a row lost"
        ),
        pytest.param(
            "UPDATE {t} SET sales_value = 1.51 WHERE order_id = '2'",
            "position 3: changed in the target",
            "verified",
            id="a cent changed",
        ),
        pytest.param(
            "UPDATE {t} SET ordered_at = ordered_at + INTERVAL 1 MICROSECOND WHERE order_id = '2'",
            "position 3: changed in the target",
            "verified",
            id="a microsecond changed",
        ),
        pytest.param(
            "UPDATE {t} SET retail_disc = 1, coupon_disc = 0 WHERE order_id = '2'",
            "position 3: changed in the target",
            "verified",
            id="a discount in the wrong column",
        ),
        pytest.param(
            "INSERT INTO {t} SELECT * FROM {t} WHERE order_id = '2'",
            "position 3: 2 times in the target",
            "copied",  # a key stands twice: that is nobody's own fault
            id="a row doubled",
        ),
        pytest.param(
            "INSERT INTO {t} SELECT * FROM {t} WHERE order_id = '2' UNION ALL SELECT * FROM {t} WHERE order_id = '2'",
            "position 3: 3 times in the target",
            "copied",
            id="a row twice more",
        ),
        pytest.param(
            "DELETE FROM {t} WHERE order_id = '3'", "lost from the target", "verified", id="the wrong one was settled"
        ),
    ],
)
def test_damage_to_the_target_turns_verification_red_and_names_the_line(at_rest, damage, says, others) -> None:
    run_sql(at_rest, damage)
    with pytest.raises(TerminalError) as error:
        verify(at_rest)
    assert "transactions-a.csv" in str(error.value)
    assert says in str(error.value)
    assert states(at_rest) == {"a": "failed", "b": others, "c": others}


@pytest.mark.thorough
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


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        pytest.param("DELETE FROM {q}", "quarantine holds 0 records, the source has 1 bad ones", id="lost"),
        pytest.param(
            "UPDATE {q} SET position = position - 1",
            "quarantine holds other records than the 1 bad ones of the source",
            id="exchanged",
        ),
    ],
)
def test_damage_to_the_quarantine_turns_verification_red_until_it_is_repaired(at_rest, damage, says) -> None:
    at_rest.lake.spark.sql(damage.format(q=f"delta.`{at_rest.lake.path_of(QUARANTINE_ROWS)}`"))
    with pytest.raises(TerminalError, match=says):
        verify(at_rest)
    assert states(at_rest) == {"a": "verified", "b": "failed", "c": "verified"}
    repair_chunk(at_rest, chunks(at_rest)[1].chunk_id)
    settled(at_rest)
    verify(at_rest)


@pytest.mark.thorough
def test_a_table_that_is_red_as_a_whole_has_no_verified_chunk(at_rest) -> None:
    verify(at_rest)
    send_live(at_rest, "1")
    with pytest.raises(TerminalError, match="natural keys stand more than once, 1 or more"):
        verify(at_rest)
    assert set(states(at_rest).values()) == {"copied"}
    settled(at_rest)
    stray = delta.read(at_rest.lake, ORDER_LINES).where("order_id IN ('1', '2')")
    stray = stray.withColumns({"order_id": F.lit("99"), "origin": F.lit("migration/gone")})
    delta.append(stray, at_rest.lake, ORDER_LINES, once=Transaction("nobody", 1))
    with pytest.raises(TerminalError, match="migration/gone: 2 rows, and no plan has it"):
        verify(at_rest)
    assert set(states(at_rest).values()) == {"copied"}


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


@pytest.mark.thorough
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
