"""Check tag definitions, compute nothing: what is wrong, overlaps or leaves gaps, and what each tag is made of."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from spark_jobs.errors import TerminalError
from spark_jobs.findings import listed
from spark_jobs.settings import Settings, Workspace
from spark_jobs.tagging.calendar import base_of, day_of, instant_of, start_of_day
from spark_jobs.tagging.checking import check_catalogue
from spark_jobs.tagging.definitions import Catalogue, Tag
from spark_jobs.tagging.dependencies import measures_of
from spark_jobs.tagging.in_use import all_uses, refuse_removal, strangers, uses_of
from spark_jobs.tagging.live import live_tags
from spark_jobs.tagging.moment import Moment, moment_at
from spark_jobs.tagging.plan import sources_of_tag
from spark_jobs.tagging.reading import read_catalogue

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SHIPPED = Path(__file__).parent / "catalogue"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose definitions."""
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose tags are checked")
    parser.add_argument("--catalogue", metavar="DIR", type=Path, help="tag definitions; default: the shipped ones")
    parser.add_argument(
        "--in-force", action="store_true", help="against the state in force as well: what is removed; starts Spark"
    )


def preflight(settings: Settings, args: argparse.Namespace) -> dict[str, object] | None:
    """The whole check, without Spark; None where the state in force is to be looked at."""
    facts = checked(settings, args)
    return None if args.in_force else facts


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The check, and what the state in force has that these definitions publish no more.

    TerminalError where something goes by such a tag: `tags run` would refuse it.
    """
    # Other checks must not wait for pyspark.
    from spark_jobs.tagging.asking import in_force_at, uses_of_audiences_at  # noqa: PLC0415

    workspace = settings.workspace(args.workspace)
    publication = in_force_at(spark, settings.storage_root, workspace.name)
    known = publication.state.tags if publication else {}
    wanted = {tag.name for tag in catalogue_of(args.catalogue, workspace.name).without_drafts.tags}
    audiences = uses_of_audiences_at(spark, settings.storage_root, workspace.name)
    uses = all_uses(uses_of(settings, workspace.name), audiences)
    refuse_removal(known, wanted, uses, workspace=workspace.name)
    return {
        **checked(settings, args),
        "against": publication.number if publication else None,
        "removed": sorted(set(known) - wanted),
    }


def checked(settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """What the definitions alone tell; TerminalError where they are wrong."""
    workspace = settings.workspace(args.workspace)
    catalogue = catalogue_of(args.catalogue, workspace.name)
    notes = check_catalogue(catalogue, moment_of_run(Asked(), workspace, catalogue))
    wanted = {tag.name for tag in catalogue.without_drafts.tags}
    found = live_tags(catalogue)
    return {
        "workspace": workspace.name,
        "tags": [described(tag, catalogue) for tag in catalogue.tags],
        "not_recorded": sorted(catalogue.head.unrecorded),
        "live": [tag.name for tag in found.catalogue.tags],
        "not_live": dict(found.others),
        "notes": [*notes, *_going(catalogue), *strangers(wanted, uses_of(settings, workspace.name))],
    }


def _going(catalogue: Catalogue) -> Iterator[str]:
    deprecated = {tag.name for tag in catalogue.tags if tag.state == "deprecated"}
    for tag in catalogue.tags:
        if found := [name for name, _ in tag.uses if name in deprecated]:
            yield f"{tag.name}: looks at what is deprecated: {listed(found)}"


def described(tag: Tag, catalogue: Catalogue) -> dict[str, object]:
    """What a reader of the check wants to know of one tag."""
    return {
        "tag": tag.name,
        "title": {"en": tag.title_en, "zh": tag.title_zh},
        "folder": tag.folder,
        "owner": tag.owner,
        "state": tag.state,
        "classes": list(tag.classes),
        "rule": tag.rule_hash,
        "kinds": sorted({type(measure).__name__.lower() for measure in measures_of(tag.rule)}),
        "sources": sorted(sources_of_tag(tag, catalogue)),
        "uses": [name for name, _ in tag.uses],
        "answers": [*(level.value for level in tag.rule.levels), tag.rule.otherwise],
    }


def catalogue_of(folder: Path | None, workspace: str) -> Catalogue:
    """The catalogue in the folder, else the shipped one; TerminalError where it is another workspace's."""
    place = folder or SHIPPED / workspace
    catalogue = read_catalogue(place)
    if catalogue.workspace != workspace:
        raise TerminalError(
            f"catalogue {place} is of workspace '{catalogue.workspace}', wanted '{workspace}': check --workspace"
        )
    return catalogue


@dataclass(frozen=True, slots=True)
class Asked:
    """For which moment a run's tags shall hold; at most one is given, none means the last midnight.

    `base` is a time on the workspace's clocks, `day` one that begins then, `as_of` an instant behind a midnight.
    """

    base: str | None = None
    day: str | None = None
    as_of: str | None = None


def moment_of_run(asked: Asked, workspace: Workspace, catalogue: Catalogue) -> Moment:
    """The moment that was asked for; TerminalError where there is none."""
    now, zone = datetime.now(UTC), workspace.zone
    if asked.base:
        moment = base_of(asked.base, zone)
    elif asked.day:
        moment = start_of_day(day_of(asked.day), zone)
    else:
        until = now if asked.as_of is None else instant_of(asked.as_of)
        # Where clocks change at midnight, the day begins later, or with the first of two: it begins all the same.
        moment = start_of_day(until.astimezone(zone).date(), zone)
    if moment > now:
        given = next(one for one in (asked.base, asked.day, asked.as_of) if one)
        raise TerminalError(f"the tags of {given} are wanted, which has not come yet; give a moment up to now")
    return moment_at(moment, zone, complete_since=workspace.history_complete_since, catalogue=catalogue)
