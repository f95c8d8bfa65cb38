"""Settle: one row a key whoever came first, in as many commits as it takes, and the ledger hears of each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyspark.sql import functions as F

from migration import settling
from migration.copying import copy_all
from migration.healing import heal
from migration.settling import Settled, settle
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.storage import delta
from spark_jobs.storage.fingerprints import fingerprint
from tests.migration_files import OldSystem, fingerprints, planned
from tests.settled_history import chunks, counted, run_sql, sales, send_live, settled, three_files


@pytest.fixture
def old(tmp_path) -> OldSystem:
    return three_files(tmp_path / "old")


@pytest.fixture
def work(old, lake, key_file) -> Iterator[Work]:
    with planned(old, lake, key_file) as ready:
        yield ready


def test_of_rows_in_several_files_the_first_file_s_stays(work) -> None:
    copy_all(work)
    assert settled(work) == Settled(history=3)
    assert (sales(work)["3"], sales(work)["4"]) == ("1.00", "3.00")
    places = {c.source_object[-5]: (c.counts.good.rows, c.counts.duplicate) for c in chunks(work) if c.counts}
    assert places == {"a": (3, 0), "b": (2, 1), "c": (1, 2)}


@pytest.mark.thorough
def test_settling_goes_on_until_every_page_is_settled(work, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "CHUNKS_PER_COMMIT", 1)
    looks = counted(monkeypatch, settling, "losers_of")
    copy_all(work)
    assert settled(work) == Settled(history=3)
    assert (sales(work)["3"], sales(work)["4"]) == ("1.00", "3.00")
    assert len(looks) == 1  # the table was looked at once, however many pages there are


@pytest.mark.thorough
def test_a_row_that_was_to_stay_and_left_meanwhile_has_an_heir(at_rest, monkeypatch: pytest.MonkeyPatch) -> None:
    send_live(at_rest, "1", origin="stream/0")
    send_live(at_rest, "2", origin="stream/1")
    monkeypatch.setattr(settling, "CHUNKS_PER_COMMIT", 1)
    take_out = settling._take_out

    def beside_another_operator(*arguments: Any, **more: Any) -> Settled | None:
        taken = take_out(*arguments, **more)
        run_sql(at_rest, "DELETE FROM {t} WHERE order_id = '2' AND startswith(origin, 'migration/')")
        return taken

    monkeypatch.setattr(settling, "_take_out", beside_another_operator)
    assert settled(at_rest) == Settled(live=1)
    assert (sales(at_rest)["1"], sales(at_rest)["2"]) == ("1.50", "9.00")


def test_settling_again_changes_nothing(at_rest) -> None:
    before = delta.current_version(at_rest.lake, ORDER_LINES), fingerprints(at_rest.ledger, at_rest.plan.plan_id)
    assert settled(at_rest) == Settled()
    assert (
        delta.current_version(at_rest.lake, ORDER_LINES),
        fingerprints(at_rest.ledger, at_rest.plan.plan_id),
    ) == before


@pytest.mark.thorough
def test_history_goes_before_the_live_stream_whoever_came_first(at_rest) -> None:
    wanted = fingerprint(delta.read(at_rest.lake, ORDER_LINES), ORDER_LINES)
    send_live(at_rest, "1", "5")
    assert settled(at_rest) == Settled(live=2)
    assert fingerprint(delta.read(at_rest.lake, ORDER_LINES), ORDER_LINES) == wanted


@pytest.mark.thorough
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
