"""From the ledger and the rules to what a run would publish: hash the basis, judge the links, propose persons."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.identity import (
    IDENTIFIERS,
    IDENTITY_DECISIONS,
    IDENTITY_HOMES,
    IDENTITY_LINKS,
    IDENTITY_MAP,
    PERSONS,
)
from spark_jobs.contracts.schema import Table
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
from spark_jobs.identity.observations import sightings
from spark_jobs.identity.publication import Proposal, Publisher
from spark_jobs.identity.rules_file import rule_version
from spark_jobs.people.system_time import moment, newest_at
from spark_jobs.storage import delta, fingerprints, tombstones
from spark_jobs.storage.checkpoints import Scratch
from spark_jobs.storage.delta import Lake


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


def work_of(publisher: Publisher, rules: Rules, key_file: Path, *, budget: int) -> Work:
    """A run's work over events and members as they stand now."""
    lake = publisher.lake
    seen = sightings(pinned(lake, EVENTS), pinned(lake, MEMBERS), rules)
    return Work(publisher, budget, seen, rules, rule_version=rule_version(rules, key_file), key_file=key_file)


def pinned(lake: Lake, table: Table) -> DataFrame:
    """The table as it stands now, whatever comes meanwhile."""
    # The stream goes on writing while the run reads the events twice.
    return delta.read(lake, table, version=delta.current_version(lake, table))


def basis_of(work: Work, observed: DataFrame) -> Basis:
    """Hash what the snapshot follows from: sightings, ledger, decisions and rules; the same input gives the same id."""
    # Of one version each, the links first: another run may add to both, and this one reads them many times.
    links, identifiers = pinned(work.lake, IDENTITY_LINKS), pinned(work.lake, IDENTIFIERS)
    decided = work.scratch.keep(decisions.in_force(pinned(work.lake, IDENTITY_DECISIONS)), "decisions")
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
    blocked = blocked_of(work.lake, identifiers, work.rules, work.key_file)
    usable = barring.barred(identifiers, work.rules, blocked)
    return Basis(snapshot_id, decisions.with_locks(usable, locks), links, pairs, separations, *sizes)


def blocked_of(lake: Lake, identifiers: DataFrame, rules: Rules, key_file: Path) -> DataFrame | None:
    """type, scope, token of values on the blocklist, in every scope that occurs; None where there are none."""
    if not rules.blocked:
        return None
    # Apps, sites and accounts: as many as an installation has, whatever the number of identifiers.
    scopes = [(row["type"], row["scope"]) for row in identifiers.select("type", "scope").distinct().collect()]
    return lake.spark.createDataFrame(barring.blocked_tokens(rules, scopes, key_file), barring.BLOCKED_ROWS)


def judge(work: Work, basis: Basis) -> tuple[DataFrame, DataFrame]:
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


def propose(work: Work, basis: Basis, judged: tuple[DataFrame, DataFrame]) -> Proposal:
    """Persons of all components, and the map as it should be."""
    (states, members), keep, before_us = judged, work.scratch.keep, work.publisher.before_us
    registry = keep(newest_at(delta.read(work.lake, PERSONS), ["person_id"], before_us), "registry")
    known_homes = _homes(work)
    seeded = persons.seeds(members)
    known, given = numbers_of(outcome.largest(registry, "person_no"))["person_no"], tombstones.marks(work.lake)
    # Nobody can claim anything before the first person was registered.
    claimed = persons.claims(members, seeded, known_homes, registry) if known else persons.no_claims(seeded)
    new = persons.minted(seeded, claimed, registry, after=max(known, given.person_no), past=given.generation)
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


def numbers_of(counted: DataFrame) -> dict[str, int]:
    """name, number: a few rows, whatever the size of the tables."""
    return {str(row["name"]): int(row["number"]) for row in counted.collect()}
