"""What looks from outside: the event that it sends, what it asks, when it complains, what it measures."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.watch import checkpoints, looking, measured, sending
from services.watch.ingest import Seen, judge
from services.watch.sending import Canary, Place
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import RetryableError, TerminalError

AT = datetime(2026, 11, 28, 23, 59, 59, 999999, tzinfo=UTC)
CANARY = Canary("databank_canary/1", AT, "grocery")
PLACE = Place(3, 77)


class Asked:
    """A Trino that answers by what it is asked of: how often the event stands in each table."""

    url = ""

    def __init__(self, **rows: list[tuple[Any, ...]]) -> None:
        self.rows, self.asked = rows, 0

    def ask(self, sql: str) -> SimpleNamespace:
        self.asked += 1
        found = next(rows for name, rows in self.rows.items() if f"lake.{name.replace('_', '.')}" in sql)
        return SimpleNamespace(rows=found, one=lambda: found[0])


def test_the_event_is_of_no_person_and_never_the_same() -> None:
    said = json.loads(CANARY.message())
    assert said["identifiers"] == []
    assert said["name"] == said["source"] == "databank_canary"
    assert said["occurred_at"] == "2026-11-28T23:59:59.999999+00:00"
    assert sending.new("grocery").event_id != sending.new("grocery").event_id
    assert sending.new("grocery").occurred_at.microsecond % 1000 == 0


def test_it_is_found_where_it_stands() -> None:
    trino: Any = Asked(core_events=[(1,)])
    assert looking.wait_until_seen(CANARY, PLACE, trino, most_s=0) < 1
    assert trino.asked == 1
    assert "DATE '2026-11-28'" in looking.in_events(CANARY)
    assert "TIMESTAMP '2026-11-28 23:59:59.999999 UTC'" in looking.in_events(CANARY)


@pytest.mark.parametrize(
    ("raw", "refused", "error", "said"),
    [
        ([(0,)], [], RetryableError, "was not taken in"),
        ([(1,)], [], RetryableError, "not among the events"),
        ([(0,)], [("unknown workspace",)], TerminalError, "was refused: unknown workspace"),
    ],
)
def test_what_does_not_come_through_is_said_to_be_where_it_was_last(
    raw: list[Any], refused: list[Any], error: type[Exception], said: str
) -> None:
    trino: Any = Asked(core_events=[(0,)], raw_events=raw, quarantine_rows=refused)
    with pytest.raises(error, match=said) as found:
        looking.wait_until_seen(CANARY, PLACE, trino, most_s=-1)
    assert "message 77 of partition 3" in str(found.value)


@pytest.mark.parametrize(
    ("seen", "error"),
    [
        (Seen(0, 0, 0, 0, 0), None),
        (Seen(900, 200, 5000, 10, 0), None),  # behind, and nearer than before
        (Seen(100, 100, 5000, 10, 0), None),  # as much as may wait
        (Seen(101, 101, 5000, 10, 0), RetryableError),
        (Seen(900, 950, 5000, 10, 0), RetryableError),
        (Seen(0, 0, 999, 999, 0), None),  # too few to say anything
        (Seen(0, 0, 1000, 50, 0), None),
        (Seen(0, 0, 1000, 51, 0), TerminalError),
    ],
)
def test_a_stream_that_falls_behind_or_refuses_much_is_named(seen: Seen, error: type[Exception] | None) -> None:
    if error is None:
        judge(seen, most_behind=100, most_refused_percent=5)
        return
    with pytest.raises(error):
        judge(seen, most_behind=100, most_refused_percent=5)


def test_how_far_the_stream_is_stands_in_its_checkpoint(tmp_path: Path) -> None:
    settings: Any = SimpleNamespace(storage_root=f"file://{tmp_path}", webhdfs_url=None)
    assert checkpoints.taken(settings) == {}
    place = tmp_path / checkpoints.CHECKPOINT
    for folder in ("commits", "offsets"):
        (place / folder).mkdir(parents=True)
    for batch in (9, 10):
        text = "v1\n{}\n" + json.dumps({EVENTS_TOPIC.name: {"0": batch * 100, "1": 7}})
        (place / "offsets" / str(batch)).write_text(text)
    (place / "offsets" / "11").write_text("v1\n{}\n" + json.dumps({EVENTS_TOPIC.name: {"0": 5000}}))  # not committed
    (place / "commits" / "9").write_text("v1")
    (place / "commits" / "10").write_text("v1")
    (place / "commits" / ".10.crc").write_text("")
    assert checkpoints.taken(settings) == {0: 1000, 1: 7}


def test_what_was_measured_replaces_what_was(tmp_path: Path) -> None:
    measured.write(None, "nothing", {"a": ("b", 1)})
    for value in (1.0, 2.5):
        measured.write(tmp_path, "databank_x", {"databank_x_seconds": ("how long", value)})
    assert [one.name for one in tmp_path.iterdir()] == ["databank_x.prom"]
    text = (tmp_path / "databank_x.prom").read_text()
    assert text == "# HELP databank_x_seconds how long\n# TYPE databank_x_seconds gauge\ndatabank_x_seconds 2.500\n"
