"""End a decision: unmerge, join or lock holds no longer, and what was seen decides again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from pyspark.sql import SparkSession

from spark_jobs.errors import TerminalError
from spark_jobs.identity import decision_jobs, decisions, recording
from spark_jobs.identity.asking import Asked
from spark_jobs.identity.deciding import Pair
from spark_jobs.identity.decision_jobs import Wanted
from spark_jobs.settings import Settings

preflight = decision_jobs.preflight


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which decision."""
    parser.add_argument("decision", metavar="DECISION_ID", help="as it was reported, or as `why-not` shows it")
    decision_jobs.add_arguments(parser)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Facts of the decision and of the run; `done` is true where it is in force no longer."""

    def pairs(asked: Asked) -> Sequence[Pair]:
        if recording.kind_of(asked, args.decision) is None:
            said = "was withdrawn already" if recording.is_withdrawn(asked, args.decision) else "was never recorded"
            raise TerminalError(f"decision {args.decision} {said}; nothing was recorded")
        return []

    wanted = Wanted(decisions.WITHDRAW, (args.decision,), decisions.OF_IDENTIFIERS, pairs, withdraws=args.decision)
    return decision_jobs.decided(spark, settings, args, wanted)
