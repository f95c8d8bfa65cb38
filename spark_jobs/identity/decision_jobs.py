"""What unmerge, join, lock and withdraw have in common: record once, run, and report done only what is read back."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.errors import TerminalError
from spark_jobs.identity import asking, components, decisions, job, looking, recording
from spark_jobs.identity.asking import Asked
from spark_jobs.identity.deciding import Pair
from spark_jobs.identity.rules_file import read_rules, rules_path
from spark_jobs.settings import Settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """One decision: its words (what makes it the same one), what of its row they are, and who finds its pairs."""

    kind: str
    about: tuple[str, ...]
    scope: str
    pairs: Callable[[Asked], Sequence[Pair]]
    withdraws: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who decides, why, and whether identity is computed at once."""
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why")
    parser.add_argument("--author", required=True, metavar="NAME", help="who decides it")
    parser.add_argument("--no-run", action="store_true", help="record it alone; it is done with the next run")
    parser.add_argument("--rules", type=Path, metavar="FILE", help="rules of identity; default: those of the settings")


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse a decision without an author or a reason, and bad rules, before Spark starts."""
    for option in ("author", "reason"):
        if not getattr(args, option).strip():
            raise TerminalError(f"--{option} is empty; whoever asks later must find it")
    read_rules(rules_path(settings, args.rules))


def decided(spark: SparkSession, settings: Settings, args: argparse.Namespace, wanted: Wanted) -> dict[str, object]:
    """Record it where it does not stand yet, run identity, and read back; TerminalError where it does not show."""
    asked = asking.opened(spark, settings)
    words = (wanted.kind, *wanted.about, wanted.scope, args.author.strip(), args.reason.strip())
    one, stands = recording.identified(asked, words)
    if not stands:
        pairs = wanted.pairs(asked)
        head = {"decision_id": one, "kind": wanted.kind, "scope": wanted.scope, "withdraws": wanted.withdraws}
        recording.record(asked, {**head, "author": args.author.strip(), "reason": args.reason.strip()}, pairs)
    told: dict[str, object] = {"decision_id": one, "kind": wanted.kind, "recorded": True, "was_recorded": stands}
    if args.no_run:
        return {**told, "done": False, "next": "`identity run` makes it so"}
    given = argparse.Namespace(rebuild=False, rules=args.rules, root_link_budget=components.ROOT_LINK_BUDGET)
    facts = job.run(spark, settings, given)
    if problem := unseen(asking.opened(spark, settings), one, wanted):
        raise TerminalError(
            f"decision {one} is recorded, and identity was computed, but {problem}; look at it with `identity explain` "
            "and `identity why-not`"
        )
    return {**told, "done": True, "snapshot_id": facts["snapshot_id"], "run": facts}


def unseen(asked: Asked, one: str, wanted: Wanted) -> str:
    """What the published snapshot does not show of a decision; '' where it shows all of it."""
    if wanted.kind == decisions.WITHDRAW:
        held = recording.kind_of(asked, str(wanted.withdraws))
        return f"decision {wanted.withdraws} is still in force" if held else ""
    rows = recording.standing(asked).where(F.col("decision_id") == one).select("identifier_a", "identifier_b")
    holders = looking.held_for_good(asked.map())
    for side in ("a", "b"):
        mine = holders.select(
            F.col("identifier_no").alias(f"identifier_{side}"), F.col("person_id").alias(f"{side}_by")
        )
        # An identifier is held for good by one person, so this join cannot add rows.
        rows = rows.join(mine, on=f"identifier_{side}", how="left")
    same = F.coalesce(F.col("a_by") == F.col("b_by"), F.lit(False))
    broken = same if wanted.kind == decisions.UNMERGE else ~same
    found = int(rows.where(broken).count())
    what = "one person holds both of" if wanted.kind == decisions.UNMERGE else "two persons hold, or nobody,"
    return f"{what} {found} pairs" if found else ""
