"""One pass over a target: its kernel sums as the engine does, and takes no two keys for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration import comparing, settling
from migration.copying import copy_all
from migration.healing import heal
from migration.reading import source_rows
from migration.rows import digest_of
from migration.settling import Settled, key_hashes, settle
from migration.summing import NO_CHUNK, REFUSED, chunk_of, read_once, summed, to_sum
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.schema import Table
from spark_jobs.storage import delta
from spark_jobs.storage.delta import row_digest
from spark_jobs.storage.fingerprints import of_row
from tests.migration_files import line, old_system, planned

pytestmark = pytest.mark.thorough


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
    stored, read = delta.read(work.lake, ORDER_LINES), source_rows(work, work.mappings[0])
    digests = (row_digest(ORDER_LINES.types), digest_of(work.mappings[0]))
    for rows, digest, refused in ((stored, digests[0], 0), (read, digests[1], 1)):
        with read_once(to_be_summed(rows, digest), ORDER_LINES) as kernel:
            found = {row["chunk"]: (of_row(row), row[REFUSED]) for row in kernel.sums.collect()}
            assert not kernel.twice.collect()
        by_engine = summed(rows.select("origin", digest.alias("digest"))).withColumn("chunk", chunk_of())
        assert found == {row["chunk"]: (of_row(row), row[REFUSED]) for row in by_engine.collect()}
        assert (len(found), sum(bad for _, bad in found.values())) == (2, refused)


def test_a_kernel_finds_keys_that_stand_twice_or_beside(work) -> None:
    stored, key = delta.read(work.lake, ORDER_LINES), key_hashes(ORDER_LINES)[0]
    keys = {row.order_id: row.key_a for row in stored.select("order_id", key).collect()}
    live = stored.where("order_id = '4'").withColumn("origin", F.lit("stream/0"))
    assert live.select(chunk_of()).distinct().collect() == [(NO_CHUNK,)]
    rows = to_be_summed(stored, row_digest(ORDER_LINES.types), key_a=key)
    with read_once(rows, ORDER_LINES, beside=live.select(key)) as found:
        assert sorted(row.key_a for row in found.twice.collect()) == sorted([keys["3"], keys["4"]])
        assert sum(row.rows for row in found.sums.collect()) == stored.count()


def to_be_summed(rows: DataFrame, digest: Column, *, key_a: Column | None = None) -> DataFrame:
    wanted = to_sum(ORDER_LINES, digest=digest, counts=F.lit(True), key_a=key_a)
    return rows.withColumn("chunk", chunk_of()).select(*wanted)


def test_keys_that_share_half_of_their_hash_are_not_taken_for_one(work, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_alike(table: Table) -> tuple[Column, Column]:
        return F.lit(7).cast("bigint").alias("key_a"), key_hashes(table)[1]

    for module in (settling, comparing):
        monkeypatch.setattr(module, "key_hashes", half_alike)
    assert settle(work.lake, ORDER_LINES, run_id=work.run_id) == Settled(history=1)
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])
