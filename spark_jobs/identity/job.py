"""Resolve identity: number identifiers, extend the ledger of links, find persons, verify, publish the map."""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.identity import (
    IDENTIFIERS,
    IDENTITY_LINK_STATES,
    IDENTITY_LINKS,
    IDENTITY_MAP,
    IDENTITY_SNAPSHOTS,
    PERSONS,
)
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.identity import components, forest, guards, ledger, mapping, outcome, persons, sharing, verification
from spark_jobs.identity.observations import sightings, stars
from spark_jobs.identity.rules import rule_version
from spark_jobs.settings import Settings
from spark_jobs.storage import checkpoints, delta, fingerprints, runs
from spark_jobs.storage.checkpoints import Scratch
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.snapshots import newest_snapshot
from spark_jobs.storage.upserts import upsert

log = logging.getLogger(__name__)

ALL_WORKSPACES = "all"
OWN_TABLES = (IDENTIFIERS, IDENTITY_LINKS, IDENTITY_LINK_STATES, PERSONS, IDENTITY_MAP, IDENTITY_SNAPSHOTS)
# Rounds shrink what is left by a constant factor; so many of them mean a graph that nobody has met.
MOST_ROUNDS = 40


@dataclass(frozen=True, slots=True)
class Work:
    """What every step of a run needs; `seen` are the sightings of one version of events and members."""

    lake: Lake
    scratch: Scratch
    run_id: str
    root_link_budget: int
    seen: DataFrame


@dataclass(frozen=True, slots=True)
class Basis:
    """What a snapshot follows from: the hash of it, the graph's pairs, and how much went in."""

    snapshot_id: str
    pairs: DataFrame
    pairs_count: int
    sightings_count: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """What a run wants to publish, as committed to its scratch folder."""

    pairs: DataFrame
    identifiers: DataFrame
    states: DataFrame
    members: DataFrame
    assignment: DataFrame
    wanted: DataFrame


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether to compute again what nothing changed, and how much one executor may finish."""
    parser.add_argument("--rebuild", action="store_true", help="compute again even where nothing new came in")
    parser.add_argument(
        "--root-link-budget",
        type=int,
        default=components.ROOT_LINK_BUDGET,
        help="links that one executor may finish (default %(default)s; about 70 bytes each)",
    )


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """One snapshot of identity over all workspaces; nothing is published unless the verifier agrees."""
    lake, began = Lake(spark, settings.storage_root), time.monotonic()
    for table in (EVENTS, MEMBERS, *OWN_TABLES):
        delta.ensure(lake, table)
    with (
        runs.recorded(lake, "identity", ALL_WORKSPACES) as recorded,
        checkpoints.scratch(lake, "identity", recorded.run_id) as scratch,
    ):
        seen = sightings(_pinned(lake, EVENTS), _pinned(lake, MEMBERS))
        facts = _snapshot(Work(lake, scratch, recorded.run_id, args.root_link_budget, seen), rebuild=args.rebuild)
        recorded.rows_in, recorded.rows_out = int(facts["sightings"]), int(facts["identifiers"])
        recorded.detail.update(facts)
    return {**facts, "seconds": round(time.monotonic() - began, 1)}


def _pinned(lake: Lake, table: Table) -> DataFrame:
    # The stream goes on writing while the run reads the events twice.
    return delta.read(lake, table, version=delta.current_version(lake, table))


def _snapshot(work: Work, *, rebuild: bool) -> dict[str, int | str | bool]:
    observed = work.scratch.keep(stars(work.seen), "stars")
    news = {"identifiers new": _extend_dictionary(work, observed), "links new": _extend_ledger(work, observed)}
    basis = _basis(work, observed)
    newest = newest_snapshot(work.lake)
    if newest is not None and newest["snapshot_id"] == basis.snapshot_id and not rebuild:
        held = json.loads(newest["certificate"])["facts"]
        return {**news, **held, "sightings": basis.sightings_count, "snapshot_id": basis.snapshot_id, "changed": False}
    proposal = _propose(work, basis, _judge(work, basis))
    return {**news, **_publish(work, basis, proposal), "sightings": basis.sightings_count, "changed": True}


def _extend_dictionary(work: Work, observed: DataFrame) -> int:
    """Number the identifiers that are new; how many."""
    known = delta.read(work.lake, IDENTIFIERS)
    changes = work.scratch.keep(ledger.identifier_changes(observed, known), "dictionary")
    is_new = F.col("identifier_no").isNull()
    counted = outcome.counted(changes.where(is_new), "new").unionByName(
        outcome.counted(changes.where(~is_new), "older")
    )
    found = _numbers(counted.unionByName(outcome.largest(known, "identifier_no")))
    if found["older"]:
        upsert(changes.where(~is_new), work.lake, IDENTIFIERS, updated=["first_seen_at"])
    if found["new"]:
        after = found["identifier_no"]
        rows = ledger.number_new(changes, after=after, run_id=work.run_id)
        # The version is the first number given: of two runs at once Delta lets one give it.
        delta.append(rows, work.lake, IDENTIFIERS, once=Transaction("identity/identifiers", after + 1))
    return found["new"]


def _extend_ledger(work: Work, observed: DataFrame) -> int:
    """Append what the ledger does not say yet; how many rows."""
    links = ledger.observed_links(observed, delta.read(work.lake, IDENTIFIERS))
    additions = work.scratch.keep(ledger.link_additions(links, delta.read(work.lake, IDENTITY_LINKS)), "additions")
    found = additions.agg(F.count(F.lit(1)).alias("links"), F.count_if(F.col("identifier_a").isNull()).alias("ends"))
    counted = found.collect()[0]
    if counted["ends"]:
        raise RetryableError(
            f"identifiers of {counted['ends']} links got no number: another identity run gave out the same numbers; "
            "let it end, then start this one again"
        )
    if counted["links"]:
        nobody = F.lit(None).cast("string")
        signed = {
            "author": nobody,
            "reason": nobody,
            "rule_version": F.lit(rule_version()),
            "run_id": F.lit(work.run_id),
        }
        once = Transaction(f"identity/links/{work.run_id}", 1)
        delta.append(additions.withColumns(signed), work.lake, IDENTITY_LINKS, once=once)
    return int(counted["links"])


def _basis(work: Work, observed: DataFrame) -> Basis:
    """Hash what the snapshot follows from: sightings, ledger and rules; the same input gives the same id."""
    pairs = ledger.pairs_of(delta.read(work.lake, IDENTITY_LINKS))
    seen = observed.agg(
        *fingerprints.aggregates(delta.row_digest(dict(observed.dtypes))), F.sum("observations").alias("sightings")
    )
    linked = pairs.agg(
        *fingerprints.aggregates(delta.row_digest(dict(pairs.dtypes))), F.lit(0).cast("bigint").alias("sightings")
    )
    parts = {
        row["part"]: row
        for row in seen.withColumn("part", F.lit("seen"))
        .unionByName(linked.withColumn("part", F.lit("linked")))
        .collect()
    }
    prints = [astuple(fingerprints.of_row(parts[name])) for name in ("seen", "linked")]
    text = json.dumps([rule_version(), *[list(map(str, numbers)) for numbers in prints]])
    snapshot_id = hashlib.sha256(text.encode()).hexdigest()[:32]
    return Basis(snapshot_id, pairs, int(parts["linked"]["rows"]), int(parts["seen"]["sightings"] or 0))


def _judge(work: Work, basis: Basis) -> tuple[DataFrame, DataFrame]:
    """States of all links, and all identifiers with the component that holds them."""
    identifiers, keep = delta.read(work.lake, IDENTIFIERS), work.scratch.keep
    links = keep(ledger.with_ends(basis.pairs, identifiers).transform(guards.guarded), "guarded")
    exclusive = forest.exclusive_links(links)
    labels = label_components(work, exclusive.select("identifier_a", "identifier_b"), at_most=basis.pairs_count)
    judged = keep(forest.spanning_forest(exclusive, labels), "judged")
    owners = forest.exclusive_labels(judged, ledger.exclusive(identifiers))
    sliced = sharing.sliced_links(links, owners)
    held = sharing.holdings(sliced)
    states = outcome.all_states(links, judged, sharing.judge_sliced(sliced, held))
    return keep(states, "states"), keep(sharing.members_of(identifiers, owners, held), "members")


def label_components(work: Work, links: DataFrame, *, at_most: int) -> DataFrame:
    """node, root: the smallest identifier number that each end is connected with."""
    if at_most <= work.root_link_budget:
        return links.transform(components.local_stars).transform(components.finish)
    rounds: list[DataFrame] = []
    while at_most > work.root_link_budget:
        merged = components.merge_by_vertex(components.local_stars(links))
        rounds.append(work.scratch.commit(merged, f"round_{len(rounds)}"))
        links, before = components.root_links(rounds[-1]), at_most
        at_most = links.count()
        log.info("round %d: %d root links of %d links", len(rounds), at_most, before)
        if len(rounds) == MOST_ROUNDS:
            raise TerminalError(
                f"after {MOST_ROUNDS} rounds {at_most} root links are left, budget {work.root_link_budget}; "
                "give one executor more memory and raise --root-link-budget"
            )
    labels = components.finish(components.local_stars(links))
    for number, merged in reversed(list(enumerate(rounds))):
        labels = components.relabelled(components.assignments(merged), work.scratch.commit(labels, f"labels_{number}"))
    return labels


def _propose(work: Work, basis: Basis, judged: tuple[DataFrame, DataFrame]) -> Proposal:
    """Persons of all components, and the map as it should be."""
    (states, members), keep = judged, work.scratch.keep
    registry, held = delta.read(work.lake, PERSONS), mapping.lasting_holdings(delta.read(work.lake, IDENTITY_MAP))
    seeded = persons.seeds(members)
    after = _numbers(outcome.largest(registry, "person_no"))["person_no"]
    # Nobody can claim anything before the first person was registered.
    claimed = persons.claims(members, seeded, held, registry) if after else persons.no_claims(seeded)
    new = persons.minted(seeded, claimed, registry, after=after)
    assignment = keep(persons.assigned(claimed, new), "assignment")
    lasting = mapping.lasting(members, persons.owners(assignment))
    sliced = sharing.slices(work.seen, sharing.shared(members), lasting, sharing.shared_links(states))
    wanted = keep(lasting.unionByName(sliced.select(*mapping.MAPPED)), "wanted")
    return Proposal(basis.pairs, delta.read(work.lake, IDENTIFIERS), states, members, assignment, wanted)


def _publish(work: Work, basis: Basis, proposal: Proposal) -> dict[str, int | str]:
    """Verify, then write what differs; the snapshot's row comes last and says that all of it stands."""
    now, lake = datetime.now(UTC), work.lake
    registry, identity_map = delta.read(lake, PERSONS), delta.read(lake, IDENTITY_MAP)
    registered = persons.registry_changes(proposal.assignment, registry, basis.snapshot_id)
    mapped = work.scratch.keep(
        mapping.map_changes(proposal.wanted, identity_map, known_at=now, snapshot_id=basis.snapshot_id), "mapped"
    )
    found = _audit(proposal, registry, {"changes": outcome.changes(registered, mapped)})
    checks = verification.certify(found["broken"], found["connected"])
    facts, changes = found["facts"], found["changes"]
    if changes["registry rows changed"]:
        upsert(registered, lake, PERSONS, updated=["survivor_id", "snapshot_id"])
    delta.replace_all(proposal.states.withColumn("snapshot_id", F.lit(basis.snapshot_id)), lake, IDENTITY_LINK_STATES)
    if changes["map rows opened"] or changes["map rows closed"]:
        # A merge even where rows are only opened: of two runs at once it lets one write, an append would let both.
        upsert(mapped, lake, IDENTITY_MAP, updated=["system_to"])
    _certify(work, basis, now, {"facts": facts, "checks": checks})
    return {**facts, **changes, "snapshot_id": basis.snapshot_id}


def _audit(proposal: Proposal, registry: DataFrame, more: Mapping[str, DataFrame]) -> dict[str, dict[str, int]]:
    """All counts of the run in one query: what the verifier found broken and connected, facts, and `more`."""
    candidate = verification.Candidate(
        pairs=proposal.pairs,
        states=proposal.states,
        identifiers=proposal.identifiers,
        unheld=proposal.members.where(F.col("label").isNull()),
        wanted=proposal.wanted,
        person_ids=persons.living(proposal.assignment, registry),
    )
    groups = {
        "broken": verification.violations(candidate),
        "connected": verification.connections(candidate),
        "facts": outcome.counts(proposal.states, proposal.members, proposal.wanted),
        **more,
    }
    found: dict[str, dict[str, int]] = {name: {} for name in groups}
    for row in outcome.together(groups).collect():
        found[row["group"]][row["name"]] = int(row["number"])
    return found


def _certify(work: Work, basis: Basis, now: datetime, certificate: Mapping[str, Mapping[str, int]]) -> None:
    row = {
        "snapshot_id": basis.snapshot_id,
        "published_at": now,
        "rule_version": rule_version(),
        "identifiers": certificate["facts"]["identifiers"],
        "links": basis.pairs_count,
        "persons": certificate["facts"]["persons"],
        "certificate": json.dumps(certificate, sort_keys=True),
        "run_id": work.run_id,
    }
    rows = work.lake.spark.createDataFrame([tuple(row.values())], IDENTITY_SNAPSHOTS.ddl)
    delta.append(rows, work.lake, IDENTITY_SNAPSHOTS, once=Transaction(f"identity/snapshots/{work.run_id}", 1))


def _numbers(counted: DataFrame) -> dict[str, int]:
    """name, number: a few rows, whatever the size of the tables."""
    return {str(row["name"]): int(row["number"]) for row in counted.collect()}
