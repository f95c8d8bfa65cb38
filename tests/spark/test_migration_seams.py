"""The seam: noted once before a copy, kept by the lake, and live events since it are in tables before a switch."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from migration import seam
from migration.jobfile import Switch
from migration.ledger import open_ledger
from migration.overview import SEAM_NOTED, overview
from migration.seam import check_seam, noted
from migration.views import Body
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS, RAW_EVENTS
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction
from tests.migration_files import keep_plan

pytestmark = pytest.mark.thorough

TOPIC = EVENTS_TOPIC.name
MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def work(at_rest: Work) -> Work:
    """Three chunks are copied, and readers will be switched."""
    return replace(at_rest, job=replace(at_rest.job, switch=Switch("sales.purchases", Body("", ""), Body("", ""))))


def unreachable() -> dict[int, int]:
    raise RetryableError("no broker answers")


def stream_began(work: Work, offsets: str) -> None:
    """As Spark writes it: a byte 0 for the sake of its oldest releases, the version, JSON."""
    path = Path(work.lake.root, "checkpoints/ingest", TOPIC, "sources/0/0")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\0v1\n" + f'{{"{TOPIC}":{offsets}}}'.encode())


def hold(work: Work, table: Table, **values: object) -> None:
    """A row of a table of which the test names what it is about."""
    kinds = {"string": "", "bigint": 0, "int": 0, "binary": b"", "timestamp": MOMENT, "date": MOMENT.date()}
    row = {name: kinds[kind] for name, kind in table.types.items()} | values
    frame = work.lake.spark.createDataFrame([tuple(row.values())], table.ddl)
    delta.append(frame, work.lake, table, once=Transaction(str(sorted(map(str, values.values()))), 1))


def test_it_is_noted_once_before_anything_is_copied_and_a_restored_ledger_hears_of_it(work, tmp_path) -> None:
    seam.note(replace(work, job=replace(work.job, switch=None)), unreachable)  # it switches nobody
    with pytest.raises(RetryableError):
        seam.note(work, unreachable)
    assert noted(work.lake, work.job.name) is None
    assert check_seam(work.lake, work.job.name) is None
    for ends in ({0: 5, 1: 7}, {0: 6, 1: 9}):
        seam.note(work, partial(dict, ends))
    found = noted(work.lake, work.job.name)
    assert found is not None
    assert (found.offsets, found.chunks_before) == ({0: 5, 1: 7}, 3)
    with open_ledger(f"sqlite:///{tmp_path}/restored.sqlite") as ledger:
        keep_plan(ledger, work.plan, [])
        for _ in range(2):
            seam.heal(replace(work, ledger=ledger))
        assert [step.name for step in ledger.steps(work.plan.plan_id)] == [SEAM_NOTED]
        assert overview(ledger, work.plan)["seam"] == found.facts()


def test_live_events_since_the_seam_are_in_tables_before_a_switch(work) -> None:
    seam.note(work, lambda: {0: 5, 1: 7})
    check_seam(work.lake, work.job.name)  # nothing was ever sent, or the barrier would wait
    stream_began(work, '{"0":3,"1":7}')
    check_seam(work.lake, work.job.name)
    # A stream that lost its checkpoint, and began where the topic began by then.
    stream_began(work, '{"0":3,"1":9}')
    hold(work, RAW_EVENTS, topic=TOPIC, partition=1, offset=7)
    hold(work, RAW_EVENTS, topic=TOPIC, partition=0, offset=8)
    with pytest.raises(TerminalError, match="are in no table: 1 of partition 1 from offset 7 to 9, where the stream"):
        check_seam(work.lake, work.job.name)
    hold(work, QUARANTINE_ROWS, stage="ingest", source_object=f"{TOPIC}/1", position=8)
    found = check_seam(work.lake, work.job.name)
    assert found is not None
    assert found.offsets == {0: 5, 1: 7}
