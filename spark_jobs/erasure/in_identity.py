"""Identity is cleared as a whole, under its own fence, and a new pointer says what is left.

No identity run may be under way on rows that go: the fence stops one that is publishing, the pointer one that has not
begun to (it finds another snapshot than it started from), and two transactions one that is about to number identifiers
or to extend the ledger (each takes the number that such a run would commit under). So a run either ends before this
begins or starts again behind it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import Row
from pyspark.sql import functions as F

from spark_jobs.contracts.erasing import OF_IDENTITY
from spark_jobs.contracts.erasure import ERASURE_MARKS
from spark_jobs.contracts.identity import (
    IDENTIFIERS,
    IDENTITY_LINK_STATES,
    IDENTITY_LINKS,
    IDENTITY_SNAPSHOTS,
    PERSONS,
)
from spark_jobs.contracts.schema import Table
from spark_jobs.erasure.clearing import Cleared, Way, cleared, told
from spark_jobs.erasure.finding import Targets, concerned
from spark_jobs.erasure.plan import Plan
from spark_jobs.errors import RetryableError
from spark_jobs.identity import outcome
from spark_jobs.identity.publication import NAME, PUBLISHED, next_moment, take_back
from spark_jobs.people.system_time import known_at, moment
from spark_jobs.storage import delta, fences, tombstones
from spark_jobs.storage.appending import Append
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.fences import Fence
from spark_jobs.storage.snapshots import Snapshot, published_map, published_snapshot
from spark_jobs.storage.tombstones import Marks

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def clear_identity(plan: Plan) -> dict[Table, Cleared]:
    """Clear all tables of identity; what each lost, of all attempts of the run. Safe to repeat.

    RetryableError where identity was published since the persons were looked up: the run begins anew.
    """
    lake = plan.lake
    fence = fences.raise_fence(lake, NAME, (IDENTITY_SNAPSHOTS, *PUBLISHED), run_id=plan.run_id)
    before = published_snapshot(lake)
    if not plan.is_in_identity and before.at_us != plan.snapshot_us:
        plan.end()
        raise RetryableError(
            "identity was published since the persons of this run were looked up; what was cleared stays cleared, and "
            "the same call looks them up anew"
        )
    for table in PUBLISHED:
        take_back(fence, table, before.at_us)
    marks = _mark(plan, fence)
    plan.begin_identity()
    there = [table for table in OF_IDENTITY if delta.exists(lake, table)]
    for table in there:
        _clear(fence, table, plan.targets, marks)
    _show(fence, before, plan.run_id)
    return {table: _told(lake, table, plan.run_id) for table in there}


def _told(lake: Lake, table: Table, run_id: str) -> Cleared:
    """What all attempts of the run took out; of a table that held nothing, its version now."""
    found = told(lake, table, run_id)
    return found if found.version is not None else Cleared(delta.current_version(lake, table), 0, 0)


def _clear(fence: Fence, table: Table, targets: Targets, marks: Marks) -> None:
    def more(version: int) -> Sequence[Transaction]:
        if table is IDENTITY_LINKS:  # a run that read this version, or an older one, adds nothing to the ledger
            return (Transaction("identity/links", version + 1),)
        if table is IDENTIFIERS:
            return (Transaction("identity/identifiers", marks.identifier_no),)
        return ()

    def check(one: Append) -> None:
        if table in PUBLISHED:
            fences.check(fence, table, one)

    way = Way(f"{fence.run_id}/{fence.number}", check=check, more=more)
    cleared(fence.lake, table, lambda rows: concerned(rows, table, targets), way)


def _mark(plan: Plan, fence: Fence) -> Marks:
    """Note the largest numbers before rows with them go; of identifiers one more, which nobody gets."""
    lake, known = plan.lake, tombstones.marks(plan.lake)
    no = delta.read(lake, IDENTIFIERS).agg(F.coalesce(F.max("identifier_no"), F.lit(0))).collect()[0][0]
    largest = [F.coalesce(F.max(name), F.lit(0)).alias(name) for name in ("person_no", "generation")]
    row = delta.read(lake, PERSONS).agg(*largest).collect()[0]
    marks = Marks(
        max(int(no), known.identifier_no) + 1,
        max(int(row["person_no"]), known.person_no),
        max(int(row["generation"]), known.generation),
    )
    values = (plan.run_id, marks.identifier_no, marks.person_no, marks.generation, datetime.now(UTC))
    rows = lake.spark.createDataFrame([values], ERASURE_MARKS.ddl)
    once = Transaction(f"erasure/marks/{plan.run_id}", fence.number)
    delta.append(rows, lake, ERASURE_MARKS, once=once)
    return marks


def _show(fence: Fence, before: Snapshot, run_id: str) -> None:
    """Point to what is left: the same snapshot without the persons, under another id, as its links are others now."""
    lake, at_us = fence.lake, next_moment(before.at_us)
    of_before = delta.read(lake, IDENTITY_SNAPSHOTS).where(F.col("published_at") == moment(before.at_us))
    row = of_before.where(F.col("snapshot_id") == before.snapshot_id).collect()[0]
    counts = _counts(lake, before)
    changed = {
        "snapshot_id": hashlib.sha256(f"{before.snapshot_id}/{run_id}/{fence.number}".encode()).hexdigest()[:32],
        "published_at": _EPOCH + timedelta(microseconds=at_us),
        **counts,
        "certificate": _certificate(row, counts, run_id),
        "run_id": run_id,
        "versions": json.dumps({table.name: delta.current_version(lake, table) for table in PUBLISHED}),
    }
    values = tuple(changed.get(name, row[name]) for name in IDENTITY_SNAPSHOTS.column_names)
    rows = lake.spark.createDataFrame([values], IDENTITY_SNAPSHOTS.ddl)
    fences.change(fence, IDENTITY_SNAPSHOTS, rows, at_us=at_us)


def _counts(lake: Lake, before: Snapshot) -> dict[str, int]:
    persons = published_map(lake, before).agg(F.count_distinct("person_no")).collect()[0][0]
    return {
        "identifiers": delta.read(lake, IDENTIFIERS).count(),
        "links": known_at(delta.read(lake, IDENTITY_LINK_STATES), before.at_us).count(),
        "persons": int(persons),
    }


def _certificate(row: Row, counts: dict[str, int], run_id: str) -> str:
    """What the verifier counted before, less the persons; the next identity run counts all of it anew."""
    certificate = json.loads(row["certificate"])
    facts = certificate.setdefault("facts", {})
    facts.setdefault(outcome.LAST_NUMBER, facts.get("identifiers", row["identifiers"]))
    facts |= {name: counts[name] for name in ("identifiers", "persons")}
    return json.dumps({**certificate, "erased_by": run_id}, sort_keys=True)
