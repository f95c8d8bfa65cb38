"""What other rules would change for everybody: persons split, merged and moved; no table is written."""

from __future__ import annotations

import argparse
import time
import uuid
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession

from spark_jobs.contracts.core import EVENTS, MEMBERS
from spark_jobs.contracts.identity import IDENTITY_MAP, PERSON_EVENTS
from spark_jobs.errors import TerminalError
from spark_jobs.identity import components, difference, verification
from spark_jobs.identity.check import differences
from spark_jobs.identity.job import OWN_TABLES
from spark_jobs.identity.observations import stars
from spark_jobs.identity.proposing import basis_of, judge, numbers_of, propose, work_of
from spark_jobs.identity.publication import Publisher, tried
from spark_jobs.identity.rules_file import read_rules, rules_path
from spark_jobs.settings import Settings
from spark_jobs.storage import checkpoints, delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import published_snapshot

# Pairs of persons between whom identifiers would go that are listed; all are counted.
MOST_EXAMPLES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which rules."""
    parser.add_argument("rules", metavar="RULES.yml", type=Path, help="rules to try")
    parser.add_argument(
        "--root-link-budget",
        type=int,
        default=components.ROOT_LINK_BUDGET,
        help="links that one executor may finish (default %(default)s; at most 64 bytes each)",
    )


def preflight(_settings: Settings, args: argparse.Namespace) -> None:
    """Refuse bad rules before Spark starts."""
    read_rules(args.rules)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """What a run by these rules would publish, against the snapshot in force.

    It is a whole run over the ledger as the last run left it, verifier included; only its scratch folder is written,
    and goes at the end. Events that came in since then are not in it.
    """
    lake, began = Lake(spark, settings.storage_root), time.monotonic()
    before, rules = published_snapshot(lake), read_rules(args.rules)
    if missing := [table.name for table in (EVENTS, MEMBERS, *OWN_TABLES) if not delta.exists(lake, table)]:
        raise TerminalError(f"{', '.join(missing)} missing, and a dry run makes no table; start `identity run` once")
    run_id = str(uuid.uuid4())
    with checkpoints.scratch(lake, "identity-dry-run", run_id) as scratch:
        publisher = Publisher(lake, scratch, run_id, before)
        work = work_of(publisher, rules, settings.root_key_file, budget=args.root_link_budget)
        basis = basis_of(work, scratch.keep(stars(work.seen), "stars"))
        proposal = propose(work, basis, judge(work, basis))
        changes, found = tried(publisher, proposal, before.at_us + 1)
        if problems := verification.problems_of(found["broken"], found["connected"]):
            raise TerminalError(
                f"by these rules a run would publish nothing, as its verifier finds: {'; '.join(problems)}; report this"
            )
        told = _told(changes, scratch)
    return {
        "rules": str(args.rules),
        "rule_version": proposal.rule_version,
        "differences": differences(read_rules(rules_path(settings, None)), rules),
        "against": before.snapshot_id,
        "would_be": proposal.snapshot_id,
        **told,
        **found["facts"],
        "seconds": round(time.monotonic() - began, 1),
    }


def _told(changes: dict[str, DataFrame], scratch: checkpoints.Scratch) -> dict[str, object]:
    mapped = changes[IDENTITY_MAP.name]
    changed = scratch.keep(difference.hands(mapped), "hands")
    counted = numbers_of(difference.counts(changed, changes[PERSON_EVENTS.name], mapped))
    rows = difference.examples(changed).limit(MOST_EXAMPLES).collect()
    return {**counted, "examples": [row.asDict() for row in rows]}
