"""What is watched in SQL and in the ledger while a copy runs: right, small, and never in the copy's way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from migration import watching
from migration.activity import activity_of, begin
from migration.copying import copy_all
from migration.overview import overview, refusals
from migration.pace import Pace
from migration.progress_table import sweep_progress, write_progress
from migration.refusals import count_refusals
from migration.watching import watched
from migration.work import Work
from spark_jobs.contracts.operations import MIGRATION_PROGRESS
from spark_jobs.storage import delta
from tests.migration_files import line, old_system, planned

pytestmark = pytest.mark.thorough


@pytest.fixture
def work(tmp_path, lake, key_file) -> Iterator[Work]:
    old = old_system(tmp_path / "old")
    for number in range(3):
        old.put(str(number), [line(number), line(number + 10), line(90, quantity="x"), "broken"])
    with planned(old, lake, key_file) as ready:
        yield ready


def test_a_copy_is_watched_in_the_ledger_and_in_sql(work, monkeypatch) -> None:
    monkeypatch.setattr(watching, "WRITTEN_EVERY_S", 0.0)
    begin(work.ledger, work.plan.plan_id, "copy", work.run_id)
    with watched(work, Pace()) as watch:
        copy_all(work, watch=watch)
    assert delta.current_version(work.lake, MIGRATION_PROGRESS) > 1  # it was written while chunks were copied
    found = watch.figures()
    assert (found.running, found.total.values, found.total_left.chunks) == (0, (3, found.total.bytes, 12, 6), 0)
    noted = activity_of(work.ledger, work.plan.plan_id)
    assert noted is not None
    assert noted.facts["records_per_s"] > 0
    assert noted.facts["left"]["chunks"] == 0
    write_progress(work)
    (row,) = delta.read(work.lake, MIGRATION_PROGRESS).collect()
    assert (row.chunks, row.chunks_copied, row.rows_good, row.rows_quarantined, row.records) == (3, 3, 6, 6, 12)
    assert (row.bytes, row.rows_per_s, row.ends_at) == (row.bytes_done, None, None)


def test_the_progress_of_other_plans_stays_and_the_table_does_not_grow(work) -> None:
    copy_all(work)
    write_progress(work)
    other = delta.read(work.lake, MIGRATION_PROGRESS).replace(work.plan.plan_id, "another", ["plan_id"])
    delta.replace_where(other, work.lake, MIGRATION_PROGRESS, "plan_id = 'another'")
    for _ in range(3):
        write_progress(work)
    rows = delta.read(work.lake, MIGRATION_PROGRESS).collect()
    assert sorted(row.plan_id for row in rows) == sorted(["another", work.plan.plan_id])
    folder = Path(work.lake.path_of(MIGRATION_PROGRESS))
    table = f"delta.`{folder}`"
    work.lake.spark.sql(
        f"ALTER TABLE {table} SET TBLPROPERTIES ('delta.deletedFileRetentionDuration' = 'interval 0 hours')"
    )
    assert len(list(folder.glob("*.parquet"))) > 2
    sweep_progress(work)
    assert len(list(folder.glob("*.parquet"))) == 2
    assert delta.read(work.lake, MIGRATION_PROGRESS).count() == 2


def test_progress_that_cannot_be_written_does_not_stop_a_copy(work, monkeypatch, caplog) -> None:
    monkeypatch.setattr(watching, "WRITTEN_EVERY_S", 0.0)
    Path(work.lake.root).mkdir(exist_ok=True)
    Path(work.lake.root, "migration").write_text("a file where the table's folder should be")
    with watched(work, Pace()) as watch:
        copy_all(work, watch=watch)
    assert overview(work.ledger, work.plan)["tables"][0]["rows_good"] == 6
    assert "writing migration.progress failed, 1 times so far" in caplog.text


def test_refusals_are_counted_by_reason_and_counted_anew(work) -> None:
    copy_all(work)
    for _ in range(2):
        count_refusals(work)
    found = refusals(work.ledger, work.plan.plan_id, most=1)
    assert found["reasons"] == 2
    assert found["shown"][0]["records"] == 3
    assert datetime.fromisoformat(found["counted_at"]).date() == datetime.now(UTC).date()
