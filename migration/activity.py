"""What a plan's last verb is doing, as the ledger tells it to whoever asks: one row a plan, renewed while it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from migration.ledger import Ledger, now
from migration.ledger_schema import ACTIVITIES, LEASES


@dataclass(frozen=True, slots=True)
class Activity:
    """A verb of a plan: `facts` are a copy's (`Figures.facts`), none for other verbs."""

    verb: str
    run_id: str
    began_at: str
    updated_at: str
    facts: dict[str, Any]


def begin(ledger: Ledger, plan_id: str, verb: str, run_id: str) -> None:
    """Note that a verb began."""
    moment = now()
    values = {"verb": verb, "run_id": run_id, "began_at": moment, "updated_at": moment, "facts": "{}"}
    mine = ACTIVITIES.c.plan_id == plan_id
    with ledger.engine.begin() as connection:
        if not connection.execute(update(ACTIVITIES).where(mine).values(**values)).rowcount:
            connection.execute(insert(ACTIVITIES).values(plan_id=plan_id, **values))


def renew(ledger: Ledger, plan_id: str, facts: Mapping[str, Any]) -> None:
    """Note how far the verb is."""
    with ledger.engine.begin() as connection:
        mine = update(ACTIVITIES).where(ACTIVITIES.c.plan_id == plan_id)
        connection.execute(mine.values(updated_at=now(), facts=json.dumps(facts, sort_keys=True)))


def activity_of(ledger: Ledger, plan_id: str) -> Activity | None:
    """The last one; None where no verb of this release worked on the plan."""
    with ledger.engine.connect() as connection:
        row = connection.execute(select(ACTIVITIES).where(ACTIVITIES.c.plan_id == plan_id)).mappings().first()
    if row is None:
        return None
    return Activity(row["verb"], row["run_id"], row["began_at"], row["updated_at"], json.loads(row["facts"]))


def lease_of(ledger: Ledger, job: str) -> dict[str, str] | None:
    """Who holds the job's lease: host, process, since, expires_at; None where nobody does."""
    query = select(LEASES).where(LEASES.c.job == job, LEASES.c.expires_at > now())
    with ledger.engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        return None
    host, process, _ = row["owner"].rsplit("/", 2)
    return {"host": host, "process": process, "since": row["since"], "expires_at": row["expires_at"]}
