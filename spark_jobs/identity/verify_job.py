"""Verify the snapshot in force once more, from the tables alone: what is checked before a snapshot is shown."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import IDENTITY_DECISIONS, IDENTITY_LINKS, IDENTITY_SNAPSHOTS
from spark_jobs.errors import TerminalError
from spark_jobs.identity import barring, decisions, ledger, looking, outcome, verification
from spark_jobs.identity.asking import Asked, opened
from spark_jobs.identity.declared import Rules
from spark_jobs.identity.proposing import blocked_of
from spark_jobs.identity.rules import SHARED, SUPER_NODE, is_sliced
from spark_jobs.identity.rules_file import read_rules, rule_version, rules_path
from spark_jobs.identity.verification import Candidate
from spark_jobs.people.system_time import moment
from spark_jobs.settings import Settings
from spark_jobs.storage import delta

_ENDS = ("identifier_a", "identifier_b")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """By which rules the snapshot was made."""
    parser.add_argument(
        "--rules", type=Path, metavar="FILE", help="rules that it was made by; default: those of the settings"
    )


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse bad rules before Spark starts."""
    read_rules(rules_path(settings, args.rules))


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The certificate, counted anew; TerminalError where a rule is broken or the rules are others. Nothing is written.

    Links that no run has judged yet (of a run that failed, or decided since) are counted beside it.
    """
    asked, rules, began = opened(spark, settings), read_rules(rules_path(settings, args.rules)), time.monotonic()
    _same_rules(asked, rule_version(rules, settings.root_key_file))
    candidate, waiting = candidate_of(asked, rules)
    groups = {
        "broken": verification.violations(candidate),
        "connected": verification.connections(candidate),
        "waiting": waiting,
    }
    found: dict[str, dict[str, int]] = {name: {} for name in groups}
    for row in outcome.together(groups).collect():
        found[row["group"]][row["name"]] = int(row["number"])
    if problems := verification.problems_of(found["broken"], found["connected"]):
        raise TerminalError(
            f"snapshot {asked.snapshot.snapshot_id} does not hold: {'; '.join(problems)}; start `identity run "
            "--rebuild`, which publishes a sound one or says what is wrong, and report this"
        )
    checks = {**found["broken"], **found["connected"]}
    before = json.loads(asked.snapshot.certificate).get("checks", {})
    return {
        "snapshot_id": asked.snapshot.snapshot_id,
        **checks,
        **found["waiting"],
        "as_certified": checks == {name: before.get(name) for name in checks},
        "seconds": round(time.monotonic() - began, 1),
    }


def candidate_of(asked: Asked, rules: Rules) -> tuple[Candidate, DataFrame]:
    """What the tables hold of the snapshot, and how many links it has not judged."""
    known = _decided(asked)
    every = asked.identifiers().where(F.col("identifier_no") <= _last_number(asked))
    usable = barring.barred(every, rules, blocked_of(asked.lake, every, rules, asked.key_file))
    identifiers = decisions.with_locks(usable, decisions.locks(known))
    links = decisions.with_decisions(delta.read(asked.lake, IDENTITY_LINKS), known)
    pairs, states, wanted = ledger.pairs_of(links), asked.states(), asked.map()
    judged = states.select(*_ENDS).dropDuplicates()
    candidate = Candidate(
        # judged is unique on both ends, so this join cannot add rows.
        pairs=pairs.join(judged, on=list(_ENDS), how="left_semi"),
        separations=ledger.separations_of(links),
        states=states,
        identifiers=identifiers,
        unheld=_excused(identifiers, states, looking.held_for_good(wanted), rules),
        wanted=wanted,
        survivors=asked.persons().select("person_id", "survivor_id"),
        rules=rules,
    )
    waiting = outcome.counted(pairs.join(judged, on=list(_ENDS), how="left_anti"), "links not judged yet")
    return candidate, waiting


def _last_number(asked: Asked) -> int:
    """What a later run numbered lies above. Releases before erasure noted how many there are, which was the same."""
    facts = json.loads(asked.snapshot.certificate)["facts"]
    return int(facts.get(outcome.LAST_NUMBER, facts["identifiers"]))


def _excused(identifiers: DataFrame, states: DataFrame, held: DataFrame, rules: Rules) -> DataFrame:
    """identifier_no of those that may be nobody's, and are: barred ones, and devices that several persons share."""
    of_many = states.where(F.col("reason").isin(SHARED, SUPER_NODE))
    ends = of_many.select(F.explode(F.array(*_ENDS)).alias("identifier_no")).dropDuplicates()
    shared = identifiers.where(is_sliced(F.col("type"), rules)).join(ends, on="identifier_no", how="left_semi")
    may_be = identifiers.where(F.col("barred").isNotNull()).unionByName(shared.where(F.col("barred").isNull()))
    return may_be.select("identifier_no").join(held.select("identifier_no"), on="identifier_no", how="left_anti")


def _decided(asked: Asked) -> DataFrame:
    """Decisions that were in force when the snapshot was published."""
    rows = delta.read(asked.lake, IDENTITY_DECISIONS)
    return decisions.in_force(rows.where(F.col("decided_at") <= moment(asked.snapshot.at_us)))


def _same_rules(asked: Asked, version: str) -> None:
    rows = delta.read(asked.lake, IDENTITY_SNAPSHOTS).where(F.col("published_at") == moment(asked.snapshot.at_us))
    made_by = str(rows.select("rule_version").collect()[0]["rule_version"])
    if made_by != version:
        raise TerminalError(
            f"snapshot {asked.snapshot.snapshot_id} was made by rules {made_by}, these are {version}; name the rules "
            "that it was made by with --rules, or start `identity run` by these"
        )
