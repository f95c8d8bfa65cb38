"""Tables of PostgreSQL and MariaDB: values come exactly as they are, each row once and at the same place every time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from migration.chunks import ChunkState
from migration.copying import copy_all
from migration.healing import heal
from migration.pace import Pace
from migration.reading import rows_of, source_rows
from migration.requeueing import Requeued, requeue
from migration.settling import settle
from migration.sources import jdbc
from migration.sources.lines import reading_session
from migration.sources.ranges import Range
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.sealing import unseal
from spark_jobs.storage import delta
from tests.migration_tables import (
    KINDS,
    LINES,
    OldDatabase,
    chunks_of,
    job_in,
    lines_mapping,
    old_database,
    order_line,
    planned_tables,
    records_of,
)

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[OldDatabase]:
    with old_database(request.param) as old:
        yield old


@pytest.fixture
def old(server: OldDatabase) -> OldDatabase:
    server.empty()
    return server


def heaps(old: OldDatabase) -> None:
    """Fifty rows in heaps of one key, in an order that is none; two without a key."""
    old.table("id bigint PRIMARY KEY, k varchar(9)")
    old.execute("CREATE INDEX by_key ON old.items (k)")
    old.insert(
        [f"{number * 37 % 50}, {'NULL' if number in (7, 8) else repr(chr(97 + number % 5))}" for number in range(50)]
    )


def test_places_are_the_same_every_time_one_by_one_and_all_together(old, spark) -> None:
    heaps(old)
    chunks = chunks_of(old)
    assert len(chunks) == 6
    together = records_of(old, spark, chunks)
    assert together.rdd.getNumPartitions() == old.account.connections
    places = [(row.origin, row.block_start, row.line, row.raw) for row in together.collect()]
    assert len(places) == 50
    apart = reduce(DataFrame.union, [records_of(old, spark, [chunk]) for chunk in chunks])
    assert {(row.origin, row.block_start, row.line, row.raw) for row in apart.collect()} == set(places)
    for chunk in chunks:
        mine = sorted((line, raw) for origin, _, line, raw in places if origin == chunk.origin)
        assert [line for line, _ in mine] == list(range(1, chunk.records + 1))
        keys = [re.findall(rb'"id":(\d+),"k":(.*)}', raw)[0] for _, raw in mine]
        assert keys == sorted(keys, key=lambda key: (key[1], int(key[0])))


def test_spark_s_own_conditions_stay_out_of_the_database(old, spark) -> None:
    heaps(old)
    read = records_of(old, spark, chunks_of(old))
    assert read.where("line = 1").count() == 6


def test_reading_cannot_write(old, spark) -> None:
    heaps(old)
    chunks = chunks_of(old)
    if old.kind == "postgresql":
        old.execute(
            "CREATE SEQUENCE old.numbers",
            "GRANT ALL ON SCHEMA old TO reader",
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA old TO reader",
        )
        where = "nextval('old.numbers') > 0"
    else:
        old.execute(
            "CREATE FUNCTION old.writes() RETURNS INT MODIFIES SQL DATA BEGIN DELETE FROM old.items; RETURN 1; END"
        )
        where = "old.writes() = 1"
    part = Range.parse(chunks[0].part)
    writing = replace(chunks[0], part=replace(part, split=replace(part.split, where=where)).part)
    with pytest.raises(Py4JJavaError, match=r"(?i)read.only"):
        records_of(old, spark, [writing], where=where).collect()


@pytest.fixture
def work(old, lake, key_file, tmp_path) -> Iterator[Work]:
    """Twenty-five order lines in three chunks: two bad ones, and one that repeats another's key."""
    old.table(LINES, name="lines")
    rows = [order_line(number) for number in range(22)]
    bad = [order_line(22, pieces="-1"), order_line(23, sold_at="NULL")]
    old.insert([*rows, *bad, order_line(24, order_no="20", member="'M1006'")], name="lines")
    job = job_in(tmp_path / "job", old.address, lines_mapping())
    with planned_tables(old, job, lake, key_file) as ready:
        yield ready


def test_every_row_of_a_table_has_its_place(work, old) -> None:
    copy_all(work)
    counts = [chunk.counts for chunk in work.ledger.chunks(work.plan.plan_id)]
    assert [(c.read, c.good.rows, c.quarantined, c.duplicate) for c in counts if c] == [
        (10, 10, 0, 0),
        (10, 10, 0, 0),
        (5, 3, 2, 0),
    ]
    settle(work.lake, ORDER_LINES, run_id="test")
    heal(work, ORDER_LINES)
    rows = (
        delta.read(work.lake, ORDER_LINES)
        .selectExpr(
            "order_id", "cast(ordered_at as string) t", "quantity", "cast(sales_value as string) v", "origin_position"
        )
        .collect()
    )
    wanted = {
        (str(n), f"2017-01-{1 + n % 28:02d} 12:00:00.{n:06d}".rstrip("0").rstrip("."), 1, "1.50", 1 + n % 10)
        for n in range(22)
    }
    assert {tuple(row) for row in rows} == wanted
    keys = load_root_keys(work.key_file)
    refused = delta.read(work.lake, QUARANTINE_ROWS).orderBy("position").collect()
    assert [(row.position, row.reason) for row in refused] == [(3, "pieces: less than 0"), (4, "sold_at: missing")]
    assert b'"id":22,' in unseal(refused[0].sealed, keys, kid=refused[0].kid)
    assert refused[0].source_object == f"{old.address}/old.lines"
    verify_table(work, work.mappings[0])
    assert {chunk.state for chunk in work.ledger.chunks(work.plan.plan_id)} == {ChunkState.VERIFIED}


def test_refused_rows_come_in_from_their_table_by_a_mended_mapping(work, old, tmp_path) -> None:
    copy_all(work)
    heal(work, ORDER_LINES)
    columns = lines_mapping()["columns"] | {"quantity": {"from": "pieces"}}
    new = replace(work, job=job_in(tmp_path / "job", old.address, lines_mapping(columns=columns)))
    heal(new, ORDER_LINES, may_mend=True)
    old.execute("DELETE FROM old.lines WHERE id > 22")
    with pytest.raises(TerminalError, match=r"of 2 refused records .* has 1 at their places now"):
        requeue(new)
    old.insert([order_line(23, sold_at="NULL"), order_line(24, order_no="20", member="'M1006'")], name="lines")
    assert requeue(new) == Requeued(good=1, refused=1, is_complete=True)
    settle(new.lake, ORDER_LINES, run_id="test")
    heal(new, ORDER_LINES)
    verify_table(new, new.mappings[0])
    came = delta.read(new.lake, ORDER_LINES).where("quantity < 0").select("order_id", "origin_position").collect()
    assert [tuple(row) for row in came] == [("22", 3)]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(
            f"INSERT INTO old.lines VALUES ({order_line(-1, sold_at='NULL')})",
            "planned 10 records, read 11",
            id="a row more",
        ),
        pytest.param("DELETE FROM old.lines WHERE id = 3", "planned 10 records, read 9", id="a row less"),
        pytest.param("ALTER TABLE old.lines ADD colour int", "its columns or their types changed", id="a column more"),
        pytest.param(
            "ALTER TABLE old.lines DROP COLUMN paid", "its columns or their types changed", id="a column less"
        ),
    ],
)
def test_a_change_between_plan_and_copy_is_refused(work, old, change, says) -> None:
    old.execute(change)
    with pytest.raises(TerminalError, match=says):
        copy_all(work, pace=Pace(parallel=1))
    failed = [c.origin for c in work.ledger.chunks(work.plan.plan_id) if c.state is ChunkState.FAILED]
    assert failed
    assert delta.read(work.lake, ORDER_LINES).where(F.col("origin").isin(failed)).count() == 0


def test_a_change_between_copy_and_verification_is_seen(work, old) -> None:
    copy_all(work)
    old.execute("UPDATE old.lines SET paid = 1.51 WHERE id = 13")
    with pytest.raises(TerminalError, match="position 4: changed in the target"):
        verify_table(work, work.mappings[0])


def test_nothing_clear_meets_a_shuffle_a_sort_or_a_cache(work) -> None:
    rows = source_rows(work, work.mappings[0])
    plan = rows._jdf.queryExecution().executedPlan().toString()
    nodes = re.findall(r"^[ :+-]*(?:\*\(\d+\) )?([A-Z]\w+)", plan, re.MULTILINE)
    below = nodes[nodes.index("MapInArrow") + 1 : nodes.index("BroadcastExchange")]
    assert set(below) == {"Project", "BroadcastHashJoin", "Coalesce", "Scan"}


def test_a_database_that_stops_meanwhile_is_tried_again(work, old, monkeypatch) -> None:
    read = jdbc.read_ranges

    def stop_when_half_is_read(*args: object) -> DataFrame:
        rows: DataFrame = read(*args)  # type: ignore[arg-type]
        old.server.stop()
        return rows

    monkeypatch.setattr("migration.sources.tables.read_ranges", stop_when_half_is_read)
    try:
        with pytest.raises(Py4JJavaError):  # which the command line tells as "try again"
            copy_all(work, pace=Pace(parallel=1))
        monkeypatch.undo()
        with pytest.raises(RetryableError, match="does not answer") as error:
            copy_all(work, pace=Pace(parallel=1))
        assert "canary" not in str(error.value)
    finally:
        old.server.start()
    assert delta.read(work.lake, ORDER_LINES).count() == 0
    copy_all(work)
    settle(work.lake, ORDER_LINES, run_id="test")
    heal(work, ORDER_LINES)
    verify_table(work, work.mappings[0])
    assert delta.read(work.lake, ORDER_LINES).count() == 22


def test_ranges_of_two_layouts_keep_their_origins_in_one_pass(work, old, lake, key_file) -> None:
    """A union of two reads has partitions of its own numbers; a row's place must not come from these."""
    chunks = list(work.ledger.chunks(work.plan.plan_id))
    session = reading_session(lake.spark)
    parts = [rows_of(work, session, work.mappings[0], some) for some in (chunks[:2], chunks[2:], chunks[1:])]
    found = (
        reduce(DataFrame.unionByName, parts).groupBy("origin").agg(F.count("*").alias("n"), F.max("line").alias("last"))
    )
    assert {(row.origin, row.n, row["last"]) for row in found.collect()} == {
        (chunks[0].origin, 10, 10),
        (chunks[1].origin, 20, 10),
        (chunks[2].origin, 10, 5),
    }
