"""Whom open requests mean: from tombstones back to identifiers, to the persons who hold them now, to all they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from spark_jobs.contracts.core import CLOCK_ERROR
from spark_jobs.contracts.erasure import ERASURE_ENDS, ERASURE_REQUESTS, TOMBSTONES
from spark_jobs.contracts.identity import IDENTIFIERS, PERSONS
from spark_jobs.erasure.plan import Plan
from spark_jobs.people.system_time import newest_at
from spark_jobs.protection.keys import load_root_keys
from spark_jobs.protection.tombstones import ALWAYS_US, tombstones_of
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.snapshots import Snapshot, published_map, published_snapshot

# Requests of one run; their persons are sent to every task. What is left over is for the next run.
MOST_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Resolved:
    """Open requests by what becomes of them.

    plan: what can be carried out, None for nothing; absent: those whose identifiers are all gone already; held: those
    whose person is no longer the one that was asked for (merged or split since); waiting: too young, or too many.
    """

    plan: Plan | None
    absent: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    waiting: int = 0


def resolve(lake: Lake, key_file: Path, *, run_id: str, until: datetime) -> Resolved:
    """Look for the persons of requests that were recorded before `until`, and keep what was found for the run."""
    requests, waiting = _open(lake, until)
    if not requests:
        return Resolved(None, waiting=waiting)
    plan, snapshot = Plan(lake, run_id), published_snapshot(lake)
    matched = plan.keep(_matched(lake, [row["request_id"] for row in requests], key_file), "matched")
    masters = plan.keep(_masters(lake, matched, snapshot), "masters")
    seen, counted = _by_request(matched), _by_request(masters)
    absent = [row["request_id"] for row in requests if not seen.get(row["request_id"])]
    ready = [r["request_id"] for r in requests if seen.get(r["request_id"]) and _is_same(r, counted)]
    held = [row["request_id"] for row in requests if row["request_id"] not in {*absent, *ready}]
    if not ready:
        plan.end()
        return Resolved(None, absent, held, waiting)
    _keep_targets(plan, masters.where(F.col("request_id").isin(ready)), snapshot)
    _put_tombstones(plan, key_file)
    plan = Plan(lake, run_id, tuple(ready), snapshot.at_us)
    plan.begin()
    return Resolved(plan, absent, held, waiting)


def _open(lake: Lake, until: datetime) -> tuple[list[Row], int]:
    """request_id, masters of requests to carry out, the oldest first; how many others are open."""
    for table in (ERASURE_REQUESTS, ERASURE_ENDS):
        delta.ensure(lake, table)
    ended = delta.read(lake, ERASURE_ENDS).select("request_id").distinct()
    waiting = delta.read(lake, ERASURE_REQUESTS).join(ended, on="request_id", how="left_anti")
    ready = waiting.where(F.col("requested_at") <= F.lit(until)).orderBy("requested_at", "request_id")
    requests = ready.select("request_id", "masters").limit(MOST_REQUESTS).collect()
    return requests, waiting.count() - len(requests)


def _matched(lake: Lake, requests: list[str], key_file: Path) -> DataFrame:
    """request_id, identifier_no: one pass over all identifiers, whose tokens are hashed on the executors."""
    stones = delta.read(lake, TOMBSTONES).where(F.col("request_id").isin(requests))
    # What was held for a time alone is shared with others, and leads to them as well.
    wanted = stones.where(F.unix_micros("since") == F.lit(ALWAYS_US)).select("kid", "tombstone", "request_id")
    kids = sorted(row["kid"] for row in wanted.select("kid").distinct().collect())
    hashed = tombstones_of(delta.read(lake, IDENTIFIERS), kids, key_file=key_file)
    found = hashed.join(F.broadcast(wanted.distinct()), on=["kid", "tombstone"], how="inner")
    return found.select("request_id", "identifier_no").distinct()


def _masters(lake: Lake, matched: DataFrame, snapshot: Snapshot) -> DataFrame:
    """request_id, person_id, person_no, survivor_id: all master ids of who holds one of the identifiers for good."""
    held = published_map(lake, snapshot).where(F.unix_micros("valid_from") == F.lit(ALWAYS_US))
    owners = held.select("identifier_no", F.col("person_id").alias("survivor_id"))
    # An identifier is held for good by one person, so this join adds no rows.
    living = matched.join(owners, on="identifier_no", how="inner").select("request_id", "survivor_id").distinct()
    registry = newest_at(delta.read(lake, PERSONS), ["person_id"], snapshot.at_us)
    known = registry.select("person_id", "person_no", "survivor_id")
    found = known.join(F.broadcast(living), on="survivor_id", how="inner")
    return found.select("request_id", "person_id", "person_no", "survivor_id")


def _by_request(rows: DataFrame) -> dict[str, int]:
    return {str(row["request_id"]): int(row["count"]) for row in rows.groupBy("request_id").count().collect()}


def _is_same(request: Row, counted: dict[str, int]) -> bool:
    """A merge, and a split, changes how many master ids there are."""
    return counted.get(request["request_id"]) == request["masters"]


def _keep_targets(plan: Plan, masters: DataFrame, snapshot: Snapshot) -> None:
    living = masters.select("request_id", F.col("survivor_id").alias("person_id")).distinct()
    held = published_map(plan.lake, snapshot).join(F.broadcast(living), on="person_id", how="inner")
    since, until = F.unix_micros("valid_from").alias("since_us"), F.unix_micros("valid_to").alias("until_us")
    spans = held.select("request_id", "identifier_no", "type", "scope", "token", since, until)
    plan.keep(spans, "identifiers")
    plan.keep(masters.select("request_id", "person_id", "person_no"), "persons")


def _put_tombstones(plan: Plan, key_file: Path) -> None:
    """What the person holds by now, and until now: it may be more than when the request was recorded."""
    keys, end = load_root_keys(key_file), datetime.now(UTC) + CLOCK_ERROR
    held = plan.targets.identifiers
    stones = tombstones_of(held.select("identifier_no", "token").distinct(), [keys.active], key_file=key_file)
    since, until = F.timestamp_micros("since_us"), F.least(F.timestamp_micros("until_us"), F.lit(end))
    # An identifier has one tombstone of one key, so this join adds no rows.
    rows = held.join(stones, on="identifier_no", how="inner").select(
        "request_id", "tombstone", "kid", since.alias("since"), until.alias("until")
    )
    once = Transaction(f"erasure/tombstones/{plan.run_id}", 1)
    delta.append(rows.where(F.col("since") < F.col("until")), plan.lake, TOMBSTONES, once=once)
