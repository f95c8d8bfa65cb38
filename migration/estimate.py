"""How long a copy will take: by what earlier copies of this ledger were measured at, or else by an assumption."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from migration.history import RAN, SUCCEEDED
from migration.ledger import Ledger
from migration.ledger_schema import STEPS
from migration.pace import Pace
from migration.status import amount_of_bytes
from migration.tracking import Amount

# Rather too slow than too fast: a first estimate must not promise what a machine cannot keep.
ASSUMED_BYTES_PER_S = 1_000_000
ASSUMED_RECORDS_PER_S = 10_000
TELLING_COPIES = 10
_TELLING_S = 10.0  # shorter copies are mostly Spark's start
SHOWN = 20
NOTHING = "nothing is left to copy"


@dataclass(frozen=True, slots=True)
class Speed:
    """Bytes and records a second, and where they are known from."""

    bytes_per_s: float
    records_per_s: float
    source: str


def speed_of(ledger: Ledger) -> Speed:
    """What the newest copies of the ledger, of any plan, were measured at together."""
    query = select(STEPS.c.facts).where(STEPS.c.name == f"{RAN} copy").order_by(STEPS.c.at.desc())
    with ledger.engine.connect() as connection:
        found = [json.loads(text) for text in connection.execute(query.limit(10 * TELLING_COPIES)).scalars()]
    telling = [one for one in found if one["state"] == SUCCEEDED and one.get("copied_in_s", 0) >= _TELLING_S]
    telling = telling[:TELLING_COPIES]
    seconds = sum(one["copied_in_s"] for one in telling)
    if not seconds or not sum(one["copied_records"] for one in telling):
        said = "assumed: this ledger has measured no copy yet"
        return Speed(ASSUMED_BYTES_PER_S, ASSUMED_RECORDS_PER_S, said)
    size, records = (sum(one[name] for one in telling) / seconds for name in ("copied_bytes", "copied_records"))
    return Speed(size, records, f"measured over the last {len(telling)} copies of this ledger")


def estimate(left: Amount, speed: Speed, pace: Pace, now: datetime | None = None) -> dict[str, Any]:
    """Hours of work that the copy of what is left takes, and when it would end if it began now.

    By bytes; by records where objects have no size. The job's own rate is a limit, its hours are kept.
    """
    if not left.chunks:
        return {"estimated_hours": 0.0, "estimated_end": None, "estimated_from": NOTHING}
    by_bytes = min(speed.bytes_per_s, pace.bytes_per_s or speed.bytes_per_s)
    seconds = left.bytes / by_bytes if left.bytes else left.records / speed.records_per_s
    is_limited = bool(left.bytes) and by_bytes < speed.bytes_per_s
    ends_at = pace.end_of(now or datetime.now(UTC), timedelta(seconds=min(seconds, 1e9)))
    said = f"{amount_of_bytes(by_bytes)}/s" if left.bytes else f"{speed.records_per_s:,.0f} records/s"
    return {
        "estimated_hours": round(seconds / 3600, 2),
        "estimated_end": ends_at and ends_at.isoformat(timespec="minutes"),
        "estimated_from": f"{said}, " + ("the job's limit" if is_limited else speed.source),
    }


def plan_text(facts: Mapping[str, Any]) -> str:
    """What `plan` says to a person; lists are cut and counted (--json has all of them)."""
    lines = [
        f"plan {facts['plan']}",
        f"takes {facts['chunks']:,} chunks, {amount_of_bytes(facts['bytes'])}, {facts['records']:,} records"
        + (f"; {facts['copied']:,} chunks are copied already" if facts["copied"] else ""),
        _time(facts),
        *_listed("will not take", [f"{name}: {reason}" for name, reason in facts["refused"].items()]),
        *_listed("is named by no mapping", facts["not_named"]),
    ]
    return "\n".join(lines) + "\n"


def _time(facts: Mapping[str, Any]) -> str:
    hours = facts["estimated_hours"]
    if facts["estimated_from"] == NOTHING:
        return NOTHING
    took = f"{hours:,.1f} hours" if hours >= 1 else f"{max(hours * 60, 1):,.0f} min"
    end = f"; begun now it would end {facts['estimated_end']}" if facts["estimated_end"] else ""
    return f"the copy takes about {took} ({facts['estimated_from']}){end}"


def _listed(title: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = [f"  and {len(names) - SHOWN:,} more (--json)"] if len(names) > SHOWN else []
    return [f"{title}: {len(names):,}", *(f"  {name}" for name in names[:SHOWN]), *more]
