"""One pass over a target: its kernel sums as the engine does, and takes no two keys for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import Column
from pyspark.sql import functions as F

from migration import settling, summing
from migration.copying import copy_all
from migration.healing import heal
from migration.settling import Settled, key_hashes, settle
from migration.summing import chunk_of, standing, summed
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.schema import Table
from spark_jobs.storage import delta
from spark_jobs.storage.delta import row_digest
from spark_jobs.storage.fingerprints import of_row
from tests.migration_files import line, old_system, planned


@pytest.fixture
def work(tmp_path, lake, key_file) -> Iterator[Work]:
    """Copied: basket 3 stands in both files."""
    system = old_system(tmp_path / "old")
    system.put("a", [line(1), line(2), line(3)])
    system.put("b", [line(3, sales_value="2.00"), line(4), "broken"])
    with planned(system, lake, key_file) as ready:
        copy_all(ready)
        yield ready


def test_a_kernel_sums_as_the_engine_does(work) -> None:
    stored = delta.read(work.lake, ORDER_LINES)
    with standing(stored, ORDER_LINES) as held:
        found = {row["chunk"]: of_row(row) for row in held.sums.collect()}
        (key,) = held.twice.collect()
    digests = stored.select("origin", row_digest(ORDER_LINES.types).alias("digest"))
    by_engine = summed(digests).withColumn("chunk", chunk_of())
    assert found == {row["chunk"]: of_row(row) for row in by_engine.collect()}
    assert len(found) == 2
    assert key == stored.where("order_id = '3'").select(key_hashes(ORDER_LINES)[0]).first()


def test_keys_that_share_half_of_their_hash_are_not_taken_for_one(work, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_alike(table: Table) -> tuple[Column, Column]:
        return F.lit(7).cast("bigint").alias("key_a"), key_hashes(table)[1]

    for module in (settling, summing):
        monkeypatch.setattr(module, "key_hashes", half_alike)
    assert settle(work.lake, ORDER_LINES, run_id=work.run_id) == Settled(history=1)
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])
