"""Decide that two are one person; refused, with the reason, where a rule or another decision forbids it."""

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
    """Which two."""
    for side in ("a", "b"):
        parser.add_argument(side, metavar=side.upper(), help="a master id, or TYPE:VALUE, TYPE@SCOPE:VALUE")
    decision_jobs.add_arguments(parser)


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse what names nothing before Spark starts."""
    decision_jobs.preflight(settings, args)
    for text in (args.a, args.b):
        named(text)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Facts of the decision and of the run; `done` is true where the snapshot shows it."""
    asked, rules = asking.opened(spark, settings), read_rules(rules_path(settings, args.rules))
    a, b = (asking.end_of(asked, named(text)) for text in (args.a, args.b))

    def pairs(asked: Asked) -> Sequence[Pair]:
        return deciding.together(asked, a, b, rules)

    wanted = Wanted(decisions.JOIN, tuple(sorted((a.name, b.name))), decisions.OF_IDENTIFIERS, pairs)
    return decision_jobs.decided(spark, settings, args, wanted)
