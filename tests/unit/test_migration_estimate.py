"""Estimates: by what was measured in this ledger, or by what is said to be an assumption; within the job's pace."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from migration.estimate import ASSUMED_BYTES_PER_S, Speed, estimate, plan_text, speed_of
from migration.ledger import Ledger, open_ledger
from migration.pace import Pace, pace_of
from migration.tracking import Amount

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SPEED = Speed(1_000_000, 1_000, "measured")
FACTS = {
    "plan": "p1",
    "chunks": 1_234,
    "bytes": 5_000_000_000,
    "records": 70_000_000,
    "copied": 0,
    "refused": {},
    "not_named": [],
    "estimated_hours": 2.5,
    "estimated_end": "2026-03-02T14:30+00:00",
    "estimated_from": "1 MB/s, x",
}


@pytest.fixture
def ledger(tmp_path) -> Iterator[Ledger]:
    with open_ledger(f"sqlite:///{tmp_path}/ledger.sqlite") as opened:
        yield opened


def copied(ledger: Ledger, seconds: float, megabytes: int, *, plan: str = "p1", state: str = "succeeded") -> None:
    numbers = {"copied_bytes": megabytes * 10**6, "copied_records": megabytes * 1_000, "copied_in_s": seconds}
    ledger.record_step(plan, "ran copy", {"state": state, **(numbers if state == "succeeded" else {})})


def test_without_a_measured_copy_the_assumption_is_named(ledger) -> None:
    copied(ledger, 3.0, 1)  # too short to tell
    copied(ledger, 0, 0, state="failed")
    copied(ledger, 3600.0, 0)  # it found nothing to do
    found = speed_of(ledger)
    assert found.bytes_per_s == ASSUMED_BYTES_PER_S
    assert "assumed" in found.source


def test_measured_copies_of_all_plans_count_by_their_time(ledger) -> None:
    copied(ledger, 100, 400)
    copied(ledger, 300, 400, plan="p2")
    assert speed_of(ledger) == Speed(2e6, 2e3, "measured over the last 2 copies of this ledger")


def test_the_newest_copies_count(ledger) -> None:
    copied(ledger, 1_000, 1)
    for _ in range(10):
        copied(ledger, 100, 100)
    assert speed_of(ledger).bytes_per_s == 1e6


@pytest.mark.parametrize(
    ("left", "pace", "hours", "end", "source"),
    [
        pytest.param(Amount(1, 3_600_000_000), Pace(), 1, "13:00", "1.0 MB/s, measured", id="by bytes"),
        pytest.param(Amount(1, 0, 7_200_000), Pace(), 2, "14:00", "1,000 records/s, measured", id="by records"),
        pytest.param(
            Amount(1, 3_600_000_000),
            Pace(bytes_per_s=500_000),
            2,
            "14:00",
            "500.0 kB/s, the job's limit",
            id="its limit",
        ),
        pytest.param(
            Amount(1, 3_600_000_000),
            pace_of({"windows": ["20:00-22:00"], "zone": "UTC"}),
            *(1, "21:00", "1.0 MB/s, measured"),
            id="its hours",
        ),
    ],
)
def test_the_estimate_keeps_the_pace(left, pace, hours, end, source) -> None:  # noqa: PLR0917
    assert estimate(left, SPEED, pace, NOON) == {
        "estimated_hours": hours,
        "estimated_end": f"2026-03-02T{end}+00:00",
        "estimated_from": source,
    }


def test_of_nothing_there_is_nothing_to_estimate() -> None:
    found = estimate(Amount(), SPEED, pace_of({"windows": ["20:00-22:00"], "zone": "UTC"}), NOON)
    assert (found["estimated_hours"], found["estimated_end"]) == (0, None)
    assert plan_text({**FACTS, **found}).splitlines()[2:] == ["nothing is left to copy"]


def test_a_plan_is_told_in_words() -> None:
    assert plan_text(FACTS).splitlines() == [
        "plan p1",
        "takes 1,234 chunks, 5.0 GB, 70,000,000 records",
        "the copy takes about 2.5 hours (1 MB/s, x); begun now it would end 2026-03-02T14:30+00:00",
    ]


def test_what_is_not_taken_is_listed_with_reasons_and_counted() -> None:
    refused = {f"f{n}.csv": "no header" for n in range(25)}
    text = plan_text({**FACTS, "copied": 7, "refused": refused, "not_named": ["notes.txt"], "estimated_hours": 0.25})
    assert "7 chunks are copied already" in text
    assert "about 15 min" in text
    assert "will not take: 25\n  f0.csv: no header\n" in text
    assert "f20.csv" not in text
    assert "  and 5 more (--json)\nis named by no mapping: 1\n  notes.txt\n" in text
