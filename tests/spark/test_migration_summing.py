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
from migration.rows import digest_of, place_of
from migration.settling import Settled, key_hashes, settle
from migration.summing import NO_CHUNK, Side, chunk_of, read_once, to_sum
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.schema import Table
from spark_jobs.storage import delta
from spark_jobs.storage.delta import row_digest
from spark_jobs.storage.fingerprints import PARTS, Fingerprint, of_row, parts_of_one, together
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
    digests = {"held": row_digest(ORDER_LINES.types), "read": digest_of(work.mappings[0])}
    place = place_of("line")
    sides = [to_be_summed("held", stored, digests["held"]), to_be_summed("read", read, digests["read"], place=place)]
    with read_once(sides, ORDER_LINES) as kernel:
        found = summed(kernel.sums)
        assert not kernel.twice
    refused = read.where("reason IS NOT NULL").select(
        F.lit("readrefused_").alias("of"), chunk_of(), *parts_of_one(place)
    )
    assert refused.count() == 1
    for name, rows in (("held", stored), ("read", read.where("reason IS NULL"))):
        refused = refused.union(rows.select(F.lit(name), chunk_of(), *parts_of_one(digests[name])))
    assert found == summed(refused)
    assert len(found) == 5


def summed(rows: DataFrame) -> dict[tuple[str, int], Fingerprint]:
    """Sums by side and chunk, added up by the engine."""
    found = rows.groupBy("of", "chunk").agg(*map(together, PARTS)).collect()
    return {(row["of"], row["chunk"]): of_row(row) for row in found}


def test_a_kernel_finds_keys_that_stand_twice_or_are_lent(work) -> None:
    stored, key = delta.read(work.lake, ORDER_LINES), key_hashes(ORDER_LINES)[0]
    keys = {row.order_id: row.key_a for row in stored.select("order_id", key).collect()}
    live = stored.where("order_id = '4'").withColumn("origin", F.lit("stream/0"))
    assert live.select(chunk_of()).distinct().collect() == [(NO_CHUNK,)]
    digest, others = row_digest(ORDER_LINES.types), F.startswith("origin", F.lit("stream/"))
    theirs = to_be_summed("theirs", stored.union(live), digest, counts=~others, key_a=key, lent_to="mine")
    with read_once([to_be_summed("mine", stored, digest, key_a=key), theirs], ORDER_LINES) as found:
        twice = {side: sorted(row.key_a for row in keys_of.collect()) for side, keys_of in found.twice.items()}
        assert twice == dict.fromkeys(("mine", "theirs"), sorted([keys["3"], keys["4"]]))
        sums = summed(found.sums)
        assert sorted(of_chunk.rows for (side, _), of_chunk in sums.items() if side == "mine") == [2, 3]
        assert sums["theirs", NO_CHUNK].rows == 1


def to_be_summed(
    name: str, rows: DataFrame, digest: Column, *, counts: Column | None = None, lent_to: str = "", **more: Column
) -> Side:
    wanted = to_sum(ORDER_LINES, digest=digest, counts=F.lit(True) if counts is None else counts, **more)
    return Side(name, rows.withColumn("chunk", chunk_of()).select(*wanted), lent_to=lent_to)


def test_keys_that_share_half_of_their_hash_are_not_taken_for_one(work, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_alike(table: Table) -> tuple[Column, Column]:
        return F.lit(7).cast("bigint").alias("key_a"), key_hashes(table)[1]

    for module in (settling, comparing):
        monkeypatch.setattr(module, "key_hashes", half_alike)
    assert settle(work.lake, ORDER_LINES, run_id=work.run_id) == Settled(history=1)
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])
