"""Freeze a person: what it holds for good stays together, and nothing else joins it, until the lock is withdrawn."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pyspark.sql import SparkSession

from spark_jobs.identity import asking, deciding, decision_jobs, decisions
from spark_jobs.identity.asking import Asked
from spark_jobs.identity.deciding import Pair
from spark_jobs.identity.decision_jobs import Wanted
from spark_jobs.identity.naming import named
from spark_jobs.identity.rules_file import read_rules, rules_path
from spark_jobs.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whom."""
    parser.add_argument("person", metavar="PERSON", help="a master id, or TYPE:VALUE, TYPE@SCOPE:VALUE")
    decision_jobs.add_arguments(parser)


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse what names nothing before Spark starts."""
    decision_jobs.preflight(settings, args)
    named(args.person)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Facts of the decision and of the run; `done` is true where the snapshot shows it."""
    asked, rules = asking.opened(spark, settings), read_rules(rules_path(settings, args.rules))
    end = asking.end_of(asked, named(args.person))

    def pairs(asked: Asked) -> Sequence[Pair]:
        return deciding.frozen(asked, end, rules)

    wanted = Wanted(decisions.LOCK, (end.name,), decisions.OF_PERSONS, pairs)
    return decision_jobs.decided(spark, settings, args, wanted)
