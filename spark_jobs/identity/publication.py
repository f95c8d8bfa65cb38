"""Publish what a run proposes: verify it, write what differs to each table, and let one last commit show all of it.

A run that dies between two commits leaves rows that nobody reads; the next one to publish takes them back.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import (
    IDENTITY_HOMES,
    IDENTITY_LINK_STATES,
    IDENTITY_MAP,
    IDENTITY_SNAPSHOTS,
    PERSON_EVENTS,
    PERSONS,
)
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError
from spark_jobs.identity import causes, difference, homes, mapping, outcome, persons, verification
from spark_jobs.identity.declared import Rules
from spark_jobs.people.system_time import known_at, later_than, taken_back
from spark_jobs.storage import delta, fences
from spark_jobs.storage.checkpoints import Scratch
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fences import Fence
from spark_jobs.storage.snapshots import Snapshot, newest_snapshot

log = logging.getLogger(__name__)

NAME = "identity"
# What a snapshot stands in, in the order of writing; the pointer comes last.
PUBLISHED: tuple[Table, ...] = (PERSONS, IDENTITY_HOMES, IDENTITY_LINK_STATES, IDENTITY_MAP, PERSON_EVENTS)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = 1000


@dataclass(frozen=True, slots=True)
class Publisher:
    """Who publishes, and what the run's proposal was computed on: `before` is the snapshot that was in force then."""

    lake: Lake
    scratch: Scratch
    run_id: str
    before: Snapshot | None

    @property
    def before_us(self) -> int:
        """The moment that was in force, microseconds since 1970; 0 before the first snapshot."""
        return self.before.at_us if self.before else 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a run wants to publish, as committed to its scratch folder, and the registry and homes that it found."""

    snapshot_id: str
    rules: Rules
    rule_version: str
    ledger: DataFrame
    pairs: DataFrame
    separations: DataFrame
    identifiers: DataFrame
    states: DataFrame
    members: DataFrame
    assignment: DataFrame
    wanted: DataFrame
    registry: DataFrame
    homes: DataFrame


class News(TypedDict):
    """What every new row says: since when it is known, microseconds since 1970, and by which snapshot."""

    at_us: int
    snapshot_id: str


def publish(publisher: Publisher, proposal: Proposal) -> dict[str, int | str]:
    """Facts of what was published; TerminalError where the verifier refuses, RetryableError where another run came."""
    lake, at_us = publisher.lake, next_moment(publisher.before_us)
    changes, found = tried(publisher, proposal, at_us)
    checks = verification.certify(found["broken"], found["connected"])
    _refuse_if_stale(publisher)  # before it overtakes a run that is up to date
    fence = fences.raise_fence(lake, NAME, (IDENTITY_SNAPSHOTS, *PUBLISHED), run_id=publisher.run_id)
    _refuse_if_stale(publisher)
    for table in PUBLISHED:
        take_back(fence, table, publisher.before_us)
    for table in PUBLISHED:
        if found["rows"][table.name]:
            _put(fence, table, changes[table.name], at_us)
    certificate = {"facts": found["facts"], "checks": checks}
    _show(fence, proposal, certificate, at_us)
    return {**found["facts"], **found["changes"], "snapshot_id": proposal.snapshot_id}


def _refuse_if_stale(publisher: Publisher) -> None:
    if newest_snapshot(publisher.lake) != publisher.before:
        raise RetryableError("another identity run published meanwhile; start this one again, on what that one found")


def tried(
    publisher: Publisher, proposal: Proposal, at_us: int
) -> tuple[dict[str, DataFrame], dict[str, dict[str, int]]]:
    """Rows that each table would get, and what was counted: what the verifier found broken and connected, and facts.

    Nothing is written but to the run's scratch folder.
    """
    changes = _changes(publisher, proposal, at_us)
    return changes, _audit(proposal, changes)


def next_moment(before_us: int) -> int:
    """Now, later than what was published before, in whole milliseconds: Trino shows no more."""
    now_us = time.time_ns() // 1_000_000 * _MS
    return max(now_us, (before_us // _MS + 1) * _MS)


def _changes(publisher: Publisher, proposal: Proposal, at_us: int) -> dict[str, DataFrame]:
    """Rows to add by table; of those with `system_to`, the row that they replace goes."""
    lake, news = publisher.lake, News(at_us=at_us, snapshot_id=proposal.snapshot_id)
    states, held = (
        known_at(delta.read(lake, table), publisher.before_us) for table in (IDENTITY_LINK_STATES, IDENTITY_MAP)
    )
    rows = {
        PERSONS: persons.registry_changes(proposal.assignment, proposal.registry, **news),
        IDENTITY_HOMES: homes.home_changes(proposal.members, proposal.assignment, proposal.homes, **news),
        IDENTITY_LINK_STATES: mapping.changes(proposal.states, states, same=mapping.SAME_STATE, **news),
        IDENTITY_MAP: mapping.changes(proposal.wanted, held, same=mapping.SAME_SPAN, **news),
    }
    kept = {table.name: publisher.scratch.keep(found, f"new_{table.table_name}") for table, found in rows.items()}
    moved = causes.moves(kept[PERSONS.name], proposal.registry, held)
    judged = kept[IDENTITY_LINK_STATES.name].where(F.col("system_to").isNull())
    found = causes.triggers(judged, held, proposal.wanted)
    happened = moved.unionByName(causes.handovers(difference.hands(kept[IDENTITY_MAP.name]), moved))
    told = causes.person_events(happened, found, proposal.ledger, **news)
    return {**kept, PERSON_EVENTS.name: publisher.scratch.keep(told, f"new_{PERSON_EVENTS.table_name}")}


def _audit(proposal: Proposal, changes: Mapping[str, DataFrame]) -> dict[str, dict[str, int]]:
    """All counts of the run in one query: what the verifier found broken and connected, facts, and rows by table."""
    registered = changes[PERSONS.name]
    candidate = verification.Candidate(
        pairs=proposal.pairs,
        separations=proposal.separations,
        states=proposal.states,
        identifiers=proposal.identifiers,
        unheld=proposal.members.where(F.col("label").isNull()),
        wanted=proposal.wanted,
        survivors=persons.with_changes(proposal.registry, registered),
        rules=proposal.rules,
    )
    groups = {
        "broken": verification.violations(candidate),
        "connected": verification.connections(candidate),
        "facts": outcome.counts(proposal.states, proposal.members, proposal.wanted),
        "changes": outcome.changes(registered, changes[IDENTITY_MAP.name]),
        "rows": outcome.rows_of(changes),
    }
    found: dict[str, dict[str, int]] = {name: {} for name in groups}
    for row in outcome.together(groups).collect():
        found[row["group"]][row["name"]] = int(row["number"])
    return found


def take_back(fence: Fence, table: Table, before_us: int) -> None:
    """Undo what a run wrote that died before it published."""
    if 0 <= fences.changed_at_us(fence.lake, table, NAME) <= before_us:
        return
    later = later_than(delta.read(fence.lake, table), before_us)
    if later.isEmpty():
        return
    log.warning("%s: rows of a run that did not come to its end are taken back", table.name)
    fences.change(fence, table, taken_back(later, before_us), gone=later.select(*table.key), at_us=before_us)


def _put(fence: Fence, table: Table, rows: DataFrame, at_us: int) -> None:
    gone = rows.where(F.col("system_to").isNotNull()).select(*table.key) if "system_to" in rows.columns else None
    fences.change(fence, table, rows, at_us=at_us, gone=None if gone is None or gone.isEmpty() else gone)


def _show(fence: Fence, proposal: Proposal, certificate: Mapping[str, Mapping[str, int]], at_us: int) -> None:
    """The pointer: with this commit readers see all of it."""
    facts = certificate["facts"]
    row = {
        "snapshot_id": proposal.snapshot_id,
        "published_at": _EPOCH + timedelta(microseconds=at_us),
        "rule_version": proposal.rule_version,
        "identifiers": facts["identifiers"],
        "links": sum(number for name, number in facts.items() if name.startswith(outcome.LINKS)),
        "persons": facts["persons"],
        "certificate": json.dumps(certificate, sort_keys=True),
        "run_id": fence.run_id,
        "versions": json.dumps({table.name: delta.current_version(fence.lake, table) for table in PUBLISHED}),
    }
    rows = fence.lake.spark.createDataFrame([tuple(row.values())], IDENTITY_SNAPSHOTS.ddl)
    fences.change(fence, IDENTITY_SNAPSHOTS, rows, at_us=at_us)
