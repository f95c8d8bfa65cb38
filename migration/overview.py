"""Where a plan stands, from the ledger alone: sums by target, refusals by reason, pace, who runs it, what is red.

Each question is one statement whose answer does not grow with the chunks, so 100,000 of them are answered in seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import func, select

from migration.activity import activity_of, lease_of
from migration.chunks import ChunkState
from migration.ledger import IN_TARGET, Ledger, Plan
from migration.ledger_schema import CHUNKS, NOT_TAKEN, REFUSALS, STEPS

SHOWN_RED = 10
SEAM_NOTED = "seam noted"
PLACES = ("read", "good", "quarantined", "duplicate")


def overview(ledger: Ledger, plan: Plan, *, most: int = SHOWN_RED) -> dict[str, Any]:
    """All that is known of a plan; `most`: how many objects, chunks and reasons are listed, beside their number."""
    totals = ledger.totals(plan.plan_id)
    activity = activity_of(ledger, plan.plan_id)
    return {
        "plan": plan.plan_id,
        "job": plan.job,
        "source": plan.source,
        "created_at": plan.created_at,
        "is_in_force": ledger.plan_in_force(plan.job) == plan,
        "tables": totals,
        "targets": targets(totals),
        "not_taken": not_taken(ledger, plan.plan_id, most=most),
        "quarantine": refusals(ledger, plan.plan_id, most=most),
        "run_by": lease_of(ledger, plan.job),
        "activity": activity
        and {
            "verb": activity.verb,
            "began_at": activity.began_at,
            "updated_at": activity.updated_at,
            **activity.facts,
        },
        "red": _red(ledger, plan.plan_id, most),
        "last_step": _last_step(ledger, plan.plan_id),
        "seam": _seam(ledger, plan.plan_id),
    }


def targets(totals: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One object a target: chunks by state, bytes and records planned and in place. In: `Ledger.totals`."""
    found: dict[str, dict[str, Any]] = {}
    for row in totals:
        empty = {"target": row["target"], "chunks": 0, "bytes": 0, "records": 0, "bytes_done": 0, "states": {}}
        one = found.setdefault(row["target"], empty | dict.fromkeys(PLACES, 0))
        one["states"][row["state"]] = row["chunks"]
        for name in ("chunks", "bytes", "records"):
            one[name] += row[name]
        for place in PLACES:
            one[place] += row[f"rows_{place}"]
        one["bytes_done"] += row["bytes"] if row["state"] in IN_TARGET else 0
    return list(found.values())


def not_taken(ledger: Ledger, plan_id: str, *, most: int) -> dict[str, Any]:
    """What of its source a plan leaves out: objects that it refused, then those that no mapping names."""
    mine, is_refused = NOT_TAKEN.c.plan_id == plan_id, NOT_TAKEN.c.reason != ""
    query = select(NOT_TAKEN.c.source_object, NOT_TAKEN.c.reason).where(mine).order_by(NOT_TAKEN.c.number).limit(most)
    counted = select(func.count().filter(is_refused), func.count().filter(~is_refused)).where(mine)
    with ledger.engine.connect() as connection:
        refused, unnamed = connection.execute(counted).one()
        shown = [dict(row) for row in connection.execute(query).mappings()]
    return {"refused": refused, "unnamed": unnamed, "shown": shown}


def refusals(ledger: Ledger, plan_id: str, *, most: int) -> dict[str, Any]:
    """The most frequent reasons by target, as they were counted when a verb ended last, and how many there are."""
    mine = REFUSALS.c.plan_id == plan_id
    query = select(REFUSALS.c.target, REFUSALS.c.reason, REFUSALS.c.records).where(mine)
    query = query.order_by(REFUSALS.c.records.desc(), REFUSALS.c.target, REFUSALS.c.reason).limit(most)
    summed = select(func.count(), func.max(REFUSALS.c.counted_at)).where(mine)
    with ledger.engine.connect() as connection:
        count, counted_at = connection.execute(summed).one()
        reasons = [dict(row) for row in connection.execute(query).mappings()]
    return {"reasons": count, "counted_at": counted_at, "shown": reasons}


def _red(ledger: Ledger, plan_id: str, most: int) -> dict[str, Any]:
    is_red = (CHUNKS.c.plan_id == plan_id, CHUNKS.c.state == str(ChunkState.FAILED))
    query = select(CHUNKS.c.chunk_id, CHUNKS.c.source_object, CHUNKS.c.message, CHUNKS.c.updated_at).where(*is_red)
    with ledger.engine.connect() as connection:
        count = connection.execute(select(func.count()).where(*is_red)).scalar()
        rows = connection.execute(query.order_by(CHUNKS.c.chunk_id).limit(most)).mappings().all()
    return {"chunks": int(count or 0), "shown": [dict(row) for row in rows]}


def _seam(ledger: Ledger, plan_id: str) -> dict[str, Any] | None:
    """Where live events take over from history, by partition (`seam.Seam.facts`); None where it was not noted."""
    mine = (STEPS.c.plan_id == plan_id, STEPS.c.name == SEAM_NOTED)
    with ledger.engine.connect() as connection:
        facts = connection.execute(select(STEPS.c.facts).where(*mine).order_by(STEPS.c.number.desc()).limit(1)).scalar()
    return None if facts is None else dict(json.loads(facts))


def seam_text(seam: Mapping[str, Any]) -> str:
    """In words; in: `overview`'s `seam`."""
    places = ", ".join(f"{partition} from {offset}" for partition, offset in seam["offsets"].items())
    late = f"; {seam['chunks_before']:,} chunks were copied before" if seam["chunks_before"] else ""
    return f"{seam['topic']}, partition {places}{late}"


def _last_step(ledger: Ledger, plan_id: str) -> dict[str, Any] | None:
    query = select(STEPS.c.name, STEPS.c.at, STEPS.c.facts).where(STEPS.c.plan_id == plan_id)
    with ledger.engine.connect() as connection:
        row = connection.execute(query.order_by(STEPS.c.number.desc()).limit(1)).first()
    return row and {"name": row.name, "at": row.at, "state": json.loads(row.facts).get("state")}
