"""Decide that two are not one person, for ever: who was merged gets the former id back; done when it is read back."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pyspark.sql import SparkSession

from spark_jobs.identity import asking, deciding, decision_jobs, decisions
from spark_jobs.identity.asking import Asked
from spark_jobs.identity.deciding import Pair
from spark_jobs.identity.decision_jobs import Wanted
from spark_jobs.identity.naming import named
from spark_jobs.settings import Settings

SCOPES = (decisions.OF_PERSONS, decisions.OF_IDENTIFIERS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which two, and how far it goes."""
    for side in ("a", "b"):
        parser.add_argument(side, metavar=side.upper(), help="a master id (also a merged one), or TYPE:VALUE")
    parser.add_argument(
        "--scope",
        choices=SCOPES,
        default=decisions.OF_PERSONS,
        help="keep apart all that was the one's from all that was the other's, or the two identifiers alone "
        "(default %(default)s)",
    )
    decision_jobs.add_arguments(parser)


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse what names nothing before Spark starts."""
    decision_jobs.preflight(settings, args)
    for text in (args.a, args.b):
        named(text)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Facts of the decision and of the run; `done` is true where the snapshot shows it."""
    asked = asking.opened(spark, settings)
    a, b = (asking.end_of(asked, named(text)) for text in (args.a, args.b))

    def pairs(asked: Asked) -> Sequence[Pair]:
        return deciding.apart(asked, a, b, args.scope)

    wanted = Wanted(decisions.UNMERGE, tuple(sorted((a.name, b.name))), args.scope, pairs)
    return decision_jobs.decided(spark, settings, args, wanted)
