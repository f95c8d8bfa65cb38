"""What publishing definitions would do: persons of each value, cost, who enters and leaves; publishes nothing."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.people.refusals import refusals_of
from spark_jobs.settings import Settings
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import difference, job
from spark_jobs.tagging.asking import rows_of
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.check import Asked, catalogue_of, moment_of_run
from spark_jobs.tagging.checking import check_catalogue
from spark_jobs.tagging.definitions import Tag
from spark_jobs.tagging.dependencies import narrowed
from spark_jobs.tagging.drift import Shares, shown
from spark_jobs.tagging.preparing import MOST_VALUES_SHOWN, Clock, Computed, Work, computed, prepared
from spark_jobs.tagging.vocabulary import ATTRIBUTE_SOURCE, LOOKUP_NUMBERS, SOURCE_NUMBERS

MOST_PERSONS_SHOWN = 5

# Tag and value to persons who enter and leave; the value None is `otherwise`.
Moves = Mapping[tuple[str, str | None], tuple[int, int]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which tags of which definitions, for which moment."""
    parser.add_argument(
        "tags", nargs="*", metavar="TAG", help="tags to estimate, with those they use and the refusal tag; default: all"
    )
    job.add_arguments(parser)


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse, before Spark starts, everything that is wrong with catalogue, tags and base time."""
    workspace = settings.workspace(args.workspace)
    catalogue = narrowed(catalogue_of(args.catalogue, workspace.name), args.tags)
    check_catalogue(catalogue, moment_of_run(Asked(args.base, args.day, args.as_of), workspace, catalogue))


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Compute as a run would, and compare with the state in force; no table is written.

    Of sensitive tags neither persons nor shares are told: only whether they would leave their bands.
    """
    lake, clock = Lake(spark, settings.storage_root), Clock()
    workspace = settings.workspace(args.workspace)
    refusals = refusals_of(settings)
    # Whom nothing is computed of must be known, whatever is asked.
    names = [*args.tags, refusals.tag] if args.tags and refusals.tag else args.tags
    catalogue = narrowed(catalogue_of(args.catalogue, workspace.name), names)
    moment = moment_of_run(Asked(args.base, args.day, args.as_of), workspace, catalogue)
    notes = check_catalogue(catalogue, moment)
    with clock.step("prepare"):
        work = prepared(lake, catalogue, moment, refusals=refusals, run_id="estimate", clock=clock)
    with computed(work) as found:
        with clock.step("difference"):
            moves, persons = _moves(work, found), _sample(work, found)
        rows = _rows(found)
    return {
        "workspace": workspace.name,
        "base_at": moment_of(moment.base).isoformat(),
        "snapshot_id": work.snapshot.snapshot_id,
        "against": work.before.number if work.before else None,
        "persons": found.persons,
        "refusing": found.refused_persons,
        "tags": [_told(tag, work, found, moves=moves, persons=persons) for tag in catalogue.tags],
        "refused": [one.told for one in found.findings],
        "notes": list(notes),
        "rows": rows,
        "seconds": clock.seconds,
    }


def _plain(work: Work) -> list[str]:
    """Tags of which persons may be told: sensitive neither now nor in the state in force."""
    return [tag.name for tag in work.catalogue.tags if not work.classes_of(tag.name, tag.classes)]


def _moves(work: Work, found: Computed) -> Moves:
    """Who would enter and leave each value of the tags that are in force and may be told."""
    names = [name for name in _plain(work) if work.before and name in work.before.state.tags]
    if work.before is None or not names:
        return {}
    is_asked = F.col("tag").isin(*names)
    before = rows_of(work.lake, work.before).where(is_asked)
    after = work.labels.values(found.answers).where(is_asked)
    counted = difference.moves(difference.between(before, after), most=MOST_VALUES_SHOWN).collect()
    return {(row["tag"], row["value"]): (int(row["entered"]), int(row["left"])) for row in counted}


def _sample(work: Work, found: Computed) -> dict[str, list[dict[str, str]]]:
    names = _plain(work)
    values = work.labels.values(found.answers).where(F.col("tag").isin(*names))
    told: dict[str, list[dict[str, str]]] = {}
    for row in difference.sample(values, most=MOST_PERSONS_SHOWN).orderBy("tag", "person_id").collect():
        told.setdefault(row["tag"], []).append({"person_id": row["person_id"], "value": row["value"]})
    return told


def _rows(found: Computed) -> dict[str, int]:
    """Rows of each source that some rule looks at, of persons whom identity knows."""
    names = {number: name for name, number in SOURCE_NUMBERS.items()}
    names |= dict.fromkeys(LOOKUP_NUMBERS.values(), "given_values")
    counted = found.facts.where(F.col("source") != ATTRIBUTE_SOURCE).groupBy("source").agg(F.sum("rows").alias("rows"))
    told: dict[str, int] = {}
    for row in counted.collect():
        name = names[row["source"]]
        told[name] = told.get(name, 0) + int(row["rows"])
    return dict(sorted(told.items()))


def _told(
    tag: Tag, work: Work, found: Computed, *, moves: Moves, persons: Mapping[str, Sequence[dict[str, str]]]
) -> dict[str, Any]:
    before = work.before.state.tags.get(tag.name) if work.before else None
    is_same = before is not None and before.rule == tag.rule_hash
    change = "new" if before is None else "none" if is_same else "rule"
    head: dict[str, Any] = {"tag": tag.name, "state": tag.state, "rule": tag.rule_hash, "change": change}
    if classes := work.classes_of(tag.name, tag.classes):
        return {**head, "classes": list(classes), "leaves_bands": tag.name in {one.tag for one in found.findings}}
    shares, otherwise = Shares(found.populations, found.persons, MOST_VALUES_SHOWN), tag.rule.otherwise
    values: list[dict[str, Any]] = []
    for value, count in found.populations[tag.name].items():
        told: dict[str, Any] = {"value": value, "persons": count, "share": shown(shares.of(tag.name, value)[0])}
        if before is not None:
            told["entered"], told["left"] = moves.get((tag.name, None if value == otherwise else value), (0, 0))
        values.append(told)
    for (name, gone), (entered, left) in moves.items():
        if name == tag.name and gone is not None and gone not in found.populations[tag.name]:
            is_nobody = shares.of(tag.name, gone)[1] == 0  # of very many values the rarest are not counted
            rare = {"persons": 0, "share": shown(Fraction(0))} if is_nobody else {"persons": None, "share": None}
            values.append({"value": gone, **rare, "entered": entered, "left": left})
    return {**head, "values": values, "sample": list(persons.get(tag.name, []))}
