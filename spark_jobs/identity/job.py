"""Resolve identity: number identifiers, extend the ledger of links, find persons, verify, publish the map."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.identity import IDENTIFIERS, IDENTITY_DECISIONS, IDENTITY_LINKS, IDENTITY_SNAPSHOTS
from spark_jobs.errors import RetryableError
from spark_jobs.identity import components, ledger, outcome
from spark_jobs.identity.observations import stars
from spark_jobs.identity.proposing import Work, basis_of, judge, numbers_of, pinned, propose, work_of
from spark_jobs.identity.publication import PUBLISHED, Publisher, publish
from spark_jobs.identity.rules_file import read_rules, rules_path
from spark_jobs.settings import Settings
from spark_jobs.storage import checkpoints, delta, runs, tombstones
from spark_jobs.storage.commits import newest_commits
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.snapshots import newest_snapshot
from spark_jobs.storage.upserts import upsert

ALL_WORKSPACES = "all"
_LAST_COMMITS = 50  # among which a run's own is, however many write beside it
OWN_TABLES = (IDENTIFIERS, IDENTITY_LINKS, IDENTITY_DECISIONS, *PUBLISHED, IDENTITY_SNAPSHOTS)


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
        publisher = Publisher(lake, scratch, recorded.run_id, newest_snapshot(lake))
        work = work_of(publisher, rules, settings.root_key_file, budget=args.root_link_budget)
        facts = _snapshot(work, rebuild=args.rebuild)
        recorded.rows_in, recorded.rows_out = int(facts["sightings"]), int(facts["identifiers"])
        recorded.detail.update(facts)
    return {**facts, "seconds": round(time.monotonic() - began, 1)}


def _snapshot(work: Work, *, rebuild: bool) -> dict[str, int | str | bool]:
    observed = work.scratch.keep(stars(work.seen), "stars")
    news = {"identifiers new": _extend_dictionary(work, observed), "links new": _extend_ledger(work, observed)}
    basis = basis_of(work, observed)
    before = work.publisher.before
    if before is not None and before.snapshot_id == basis.snapshot_id and not rebuild:
        held = json.loads(before.certificate)["facts"]
        return {**news, **held, "sightings": basis.sightings_count, "snapshot_id": basis.snapshot_id, "changed": False}
    proposal = propose(work, basis, judge(work, basis))
    return {**news, **publish(work.publisher, proposal), "sightings": basis.sightings_count, "changed": True}


def _extend_dictionary(work: Work, observed: DataFrame) -> int:
    """Number the identifiers that are new; how many."""
    # Of one version: where another run numbers meanwhile, this one's first number is taken, and it gives none.
    known = pinned(work.lake, IDENTIFIERS)
    changes = work.scratch.keep(ledger.identifier_changes(observed, known), "dictionary")
    is_new = F.col("identifier_no").isNull()
    counted = outcome.counted(changes.where(is_new), "new").unionByName(
        outcome.counted(changes.where(~is_new), "older")
    )
    found = numbers_of(counted.unionByName(outcome.largest(known, "identifier_no")))
    if found["older"]:
        upsert(changes.where(~is_new), work.lake, IDENTIFIERS, updated=["first_seen_at"])
    if found["new"]:
        after = max(found["identifier_no"], tombstones.marks(work.lake).identifier_no)
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
