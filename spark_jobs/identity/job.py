"""Resolve identity: number identifiers, extend the ledger of links, find persons, verify, publish the map."""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from dataclasses import astuple, dataclass
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.identity import (
    IDENTIFIERS,
    IDENTITY_DECISIONS,
    IDENTITY_HOMES,
    IDENTITY_LINKS,
    IDENTITY_MAP,
    IDENTITY_SNAPSHOTS,
    PERSONS,
)
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError
from spark_jobs.identity import (
    barring,
    components,
    decisions,
    forest,
    guards,
    homes,
    ledger,
    mapping,
    outcome,
    persons,
    sharing,
)
from spark_jobs.identity.declared import Rules
from spark_jobs.identity.observations import sightings, stars
from spark_jobs.identity.publication import PUBLISHED, Proposal, Publisher, publish
from spark_jobs.identity.rules_file import read_rules, rule_version, rules_path
from spark_jobs.people.system_time import moment, newest_at
from spark_jobs.settings import Settings
from spark_jobs.storage import checkpoints, delta, fingerprints, runs
from spark_jobs.storage.checkpoints import Scratch
from spark_jobs.storage.commits import newest_commits
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.snapshots import newest_snapshot
from spark_jobs.storage.upserts import upsert

ALL_WORKSPACES = "all"
_LAST_COMMITS = 50  # among which a run's own is, however many write beside it
OWN_TABLES = (IDENTIFIERS, IDENTITY_LINKS, IDENTITY_DECISIONS, *PUBLISHED, IDENTITY_SNAPSHOTS)


@dataclass(frozen=True, slots=True)
class Work:
    """What every step of a run needs; `seen` are the sightings of one version of events and members."""

    publisher: Publisher
    root_link_budget: int
    seen: DataFrame
    rules: Rules
    rule_version: str
    key_file: Path

    @property
    def lake(self) -> Lake:
        """Where all tables lie."""
        return self.publisher.lake

    @property
    def scratch(self) -> Scratch:
        """Where the run keeps what it computes on its way."""
        return self.publisher.scratch


@dataclass(frozen=True, slots=True)
class Basis:
    """What a snapshot follows from: the hash of it, identifiers, pairs, decisions of one version, how much went in."""

    snapshot_id: str
    identifiers: DataFrame
    ledger: DataFrame
    pairs: DataFrame
    separations: DataFrame
    pairs_count: int
    sightings_count: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whether to compute again what nothing changed, by which rules, and how much one executor may finish."""
    parser.add_argument("--rebuild", action="store_true", help="compute again even where nothing new came in")
    parser.add_argument(
        "--rules", type=Path, metavar="FILE", help="rules of identity; default: those of the settings, or the shipped"
    )
    parser.add_argument(
        "--root-link-budget",
        type=int,
        default=components.ROOT_LINK_BUDGET,
        help="links that one executor may finish (default %(default)s; at most 64 bytes each)",
    )


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse bad rules before Spark starts."""
    read_rules(rules_path(settings, args.rules))


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """One snapshot of identity over all workspaces; nothing is published unless the verifier agrees."""
    lake, began = Lake(spark, settings.storage_root), time.monotonic()
    rules = read_rules(rules_path(settings, args.rules))
    for table in (EVENTS, MEMBERS, *OWN_TABLES):
        delta.ensure(lake, table)
    with (
        runs.recorded(lake, "identity", ALL_WORKSPACES) as recorded,
        checkpoints.scratch(lake, "identity", recorded.run_id) as scratch,
    ):
        seen = sightings(_pinned(lake, EVENTS), _pinned(lake, MEMBERS), rules)
        publisher = Publisher(lake, scratch, recorded.run_id, newest_snapshot(lake))
        work = Work(
            publisher=publisher,
            root_link_budget=args.root_link_budget,
            seen=seen,
            rules=rules,
            rule_version=rule_version(rules, settings.root_key_file),
            key_file=settings.root_key_file,
        )
        facts = _snapshot(work, rebuild=args.rebuild)
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
    before = work.publisher.before
    if before is not None and before.snapshot_id == basis.snapshot_id and not rebuild:
        held = json.loads(before.certificate)["facts"]
        return {**news, **held, "sightings": basis.sightings_count, "snapshot_id": basis.snapshot_id, "changed": False}
    proposal = _propose(work, basis, _judge(work, basis))
    return {**news, **publish(work.publisher, proposal), "sightings": basis.sightings_count, "changed": True}


def _extend_dictionary(work: Work, observed: DataFrame) -> int:
    """Number the identifiers that are new; how many."""
    # Of one version: where another run numbers meanwhile, this one's first number is taken, and it gives none.
    known = _pinned(work.lake, IDENTIFIERS)
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
        rows = ledger.number_new(changes, work.rules, after=after, run_id=work.publisher.run_id)
        # The version is the first number given: of two runs at once Delta lets one give it.
        delta.append(rows, work.lake, IDENTIFIERS, once=Transaction("identity/identifiers", after + 1))
    return found["new"]


def _extend_ledger(work: Work, observed: DataFrame) -> int:
    """Append what the ledger does not say yet; how many rows."""
    links = ledger.observed_links(observed, delta.read(work.lake, IDENTIFIERS))
    version = delta.current_version(work.lake, IDENTITY_LINKS)
    held = delta.read(work.lake, IDENTITY_LINKS, version=version)
    additions = work.scratch.keep(ledger.link_additions(links, held), "additions")
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
            "rule_version": F.lit(work.rule_version),
            "run_id": F.lit(work.publisher.run_id),
        }
        # The version is that of the ledger which lacks these rows: of two runs at once one adds them.
        once, run_id = Transaction("identity/links", version + 1), work.publisher.run_id
        delta.append(additions.withColumns(signed), work.lake, IDENTITY_LINKS, once=once, facts={"run_id": run_id})
        commits = newest_commits(work.lake, IDENTITY_LINKS, limit=_LAST_COMMITS)
        if not any(commit.facts.get("run_id") == run_id for commit in commits):
            raise RetryableError("another identity run extended the ledger meanwhile; start this one again behind it")
    return int(counted["links"])


def _basis(work: Work, observed: DataFrame) -> Basis:
    """Hash what the snapshot follows from: sightings, ledger, decisions and rules; the same input gives the same id."""
    # Of one version each, the links first: another run may add to both, and this one reads them many times.
    links, identifiers = _pinned(work.lake, IDENTITY_LINKS), _pinned(work.lake, IDENTIFIERS)
    decided = work.scratch.keep(decisions.in_force(_pinned(work.lake, IDENTITY_DECISIONS)), "decisions")
    links, locks = decisions.with_decisions(links, decided), decisions.locks(decided)
    pairs, separations = ledger.pairs_of(links), ledger.separations_of(links)
    parts = {"seen": observed, "linked": pairs, "separated": separations, "locked": locks}
    counted = [
        rows.withColumn("sightings", F.col("observations") if name == "seen" else F.lit(0))
        .agg(*fingerprints.aggregates(delta.row_digest(dict(rows.dtypes))), F.sum("sightings").alias("sightings"))
        .withColumn("part", F.lit(name))
        for name, rows in parts.items()
    ]
    found = {row["part"]: row for row in reduce(DataFrame.unionByName, counted).collect()}
    prints = [astuple(fingerprints.of_row(found[name])) for name in parts]
    text = json.dumps([work.rule_version, *[list(map(str, numbers)) for numbers in prints]])
    snapshot_id = hashlib.sha256(text.encode()).hexdigest()[:32]
    sizes = int(found["linked"]["rows"]), int(found["seen"]["sightings"] or 0)
    usable = barring.barred(identifiers, work.rules, _blocked(work, identifiers))
    return Basis(snapshot_id, decisions.with_locks(usable, locks), links, pairs, separations, *sizes)


def _blocked(work: Work, identifiers: DataFrame) -> DataFrame | None:
    """type, scope, token of values on the blocklist; None where there are none."""
    if not work.rules.blocked:
        return None
    # Apps, sites and accounts: as many as an installation has, whatever the number of identifiers.
    scopes = [(row["type"], row["scope"]) for row in identifiers.select("type", "scope").distinct().collect()]
    tokens = barring.blocked_tokens(work.rules, scopes, work.key_file)
    return work.lake.spark.createDataFrame(tokens, barring.BLOCKED_ROWS)


def _judge(work: Work, basis: Basis) -> tuple[DataFrame, DataFrame]:
    """States of all links, and all identifiers with the component that holds them."""
    identifiers, keep = basis.identifiers, work.scratch.keep
    links = keep(ledger.with_ends(basis.pairs, identifiers, work.rules).transform(guards.guarded), "guarded")
    exclusive = forest.exclusive_links(links)
    labels = components.labels(
        exclusive.select("identifier_a", "identifier_b"), keep, at_most=basis.pairs_count, budget=work.root_link_budget
    )
    judged = keep(forest.spanning_forest(exclusive, labels, basis.separations), "judged")
    owners = forest.exclusive_labels(judged, ledger.exclusive(identifiers, work.rules))
    sliced = sharing.parted(sharing.sliced_links(links, owners, basis.separations), basis.separations)
    held = sharing.holdings(sliced)
    states = outcome.all_states(links, judged, sharing.judge_sliced(sliced, held))
    return keep(states, "states"), keep(sharing.members_of(identifiers, owners, held), "members")


def _propose(work: Work, basis: Basis, judged: tuple[DataFrame, DataFrame]) -> Proposal:
    """Persons of all components, and the map as it should be."""
    (states, members), keep, before_us = judged, work.scratch.keep, work.publisher.before_us
    registry = keep(newest_at(delta.read(work.lake, PERSONS), ["person_id"], before_us), "registry")
    known_homes = _homes(work)
    seeded = persons.seeds(members)
    after = _numbers(outcome.largest(registry, "person_no"))["person_no"]
    # Nobody can claim anything before the first person was registered.
    claimed = persons.claims(members, seeded, known_homes, registry) if after else persons.no_claims(seeded)
    new = persons.minted(seeded, claimed, registry, after=after)
    assignment = keep(persons.assigned(claimed, new), "assignment")
    lasting = mapping.lasting(members, persons.owners(assignment))
    sliced = sharing.slices(work.seen, sharing.shared(members), lasting, sharing.shared_links(states))
    wanted = keep(lasting.unionByName(sliced.select(*mapping.MAPPED)), "wanted")
    return Proposal(
        snapshot_id=basis.snapshot_id,
        rules=work.rules,
        rule_version=work.rule_version,
        ledger=basis.ledger,
        pairs=basis.pairs,
        separations=basis.separations,
        identifiers=basis.identifiers,
        states=states,
        members=members,
        assignment=assignment,
        wanted=wanted,
        registry=registry,
        homes=known_homes,
    )


def _homes(work: Work) -> DataFrame:
    before_us = work.publisher.before_us
    known = newest_at(delta.read(work.lake, IDENTITY_HOMES), ["identifier_no"], before_us)
    is_written = not known.isEmpty()
    if not is_written:
        # A lake whose snapshots were made before homes were written down, or a new one with an empty map.
        known = homes.of_history(delta.read(work.lake, IDENTITY_MAP).where(F.col("system_from") <= moment(before_us)))
    return work.scratch.keep(known.select(*homes.HOME, F.lit(is_written).alias("is_written")), "homes")


def _numbers(counted: DataFrame) -> dict[str, int]:
    """name, number: a few rows, whatever the size of the tables."""
    return {str(row["name"]): int(row["number"]) for row in counted.collect()}
