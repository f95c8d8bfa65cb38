"""Shares of tags and their bands, and what keeps tags from being published; `--accept` lets just that through."""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection
from datetime import UTC
from fractions import Fraction
from pathlib import Path

from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.errors import TerminalError
from spark_jobs.findings import listed
from spark_jobs.settings import Settings
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import guarding
from spark_jobs.tagging.asking import in_force
from spark_jobs.tagging.check import catalogue_of
from spark_jobs.tagging.definitions import Catalogue, Tag
from spark_jobs.tagging.drift import Shares, band_text, shown
from spark_jobs.tagging.guarding import ACCEPTED, REFUSED
from spark_jobs.tagging.preparing import MOST_VALUES_SHOWN
from spark_jobs.tagging.publications import Publication


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose shares; with --accept, what a person accepts and why."""
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose tags are looked at")
    parser.add_argument("--catalogue", metavar="DIR", type=Path, help="tag definitions; default: the shipped ones")
    parser.add_argument("--accept", metavar="TAG", help="let the next run publish what was refused of this tag")
    parser.add_argument("--finding", metavar="ID", help="which refusal, where several are known of the tag")
    parser.add_argument("--author", metavar="NAME", help="who accepts it")
    parser.add_argument("--reason", metavar="TEXT", help="why")


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse bad definitions, and what is accepted by nobody or for no reason, before Spark starts."""
    workspace = settings.workspace(args.workspace)
    given = {name: (getattr(args, name) or "").strip() for name in ("author", "reason")}
    if args.accept and (missing := [f"--{name}" for name, text in given.items() if not text]):
        raise TerminalError(f"{listed(missing)}: found nothing; whoever asks later must find who accepted it, and why")
    if not args.accept and (args.finding or any(given.values())):
        raise TerminalError("--finding, --author and --reason belong to --accept TAG; name the tag, or leave them out")
    if not args.accept:
        catalogue_of(args.catalogue, workspace.name)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Bands, shares in force and what is refused of the publication to come; or what was accepted."""
    lake, workspace = Lake(spark, settings.storage_root), settings.workspace(args.workspace)
    publication = in_force(lake, workspace.name)
    number = publication.number + 1 if publication else 1
    if args.accept:
        return _accepted(lake, workspace.name, number, args)
    catalogue = catalogue_of(args.catalogue, workspace.name)
    refused = guarding.noted(lake, workspace.name, number, REFUSED).orderBy("noted_at", "tag").collect()
    accepted = guarding.noted(lake, workspace.name, number, ACCEPTED).collect()
    by_finding = {row["finding"]: row for row in accepted}
    plain = {tag.name for tag in catalogue.tags if not tag.classes}
    plain -= {name for name in plain if publication and publication.state.classes_of(name)}
    return {
        "workspace": workspace.name,
        "publication": publication.number if publication else None,
        "bands": _bands(catalogue, publication),
        "refused": [_shown(row, by_finding.get(row["finding"]), plain=plain) for row in refused],
    }


def _bands(catalogue: Catalogue, publication: Publication | None) -> list[dict[str, object]]:
    """Of each guarded tag what its shares may be, and what they are in force; of a sensitive one no share."""
    shares = Shares(publication.populations, publication.persons, MOST_VALUES_SHOWN) if publication else None
    found: list[dict[str, object]] = []
    for tag in catalogue.tags:
        if not tag.expect and tag.most_change is None:
            continue
        known = shares if shares is not None and tag.name in shares.of_tags else None
        classes = {*tag.classes, *(publication.state.classes_of(tag.name) if publication else ())}
        most = None if tag.most_change is None else f"{tag.most_change:f}"
        told: dict[str, object] = {"tag": tag.name, "most_change": most}
        if classes:
            is_outside = None if known is None else any(one["is_outside"] for one in _values(tag, known))
            found.append({**told, "classes": sorted(classes), "is_outside": is_outside})
        else:
            found.append({**told, "values": _values(tag, known)})
    return found


def _values(tag: Tag, shares: Shares | None) -> list[dict[str, object]]:
    told: list[dict[str, object]] = []
    for value, least, largest in tag.expect:
        share = None if shares is None else shares.of(tag.name, value)[0]
        is_outside = None if share is None else not Fraction(least) <= share <= Fraction(largest)
        text = None if share is None else shown(share)
        told.append({"value": value, "band": band_text(least, largest), "share": text, "is_outside": is_outside})
    return told


def _shown(row: Row, accepted: Row | None, *, plain: Collection[str]) -> dict[str, object]:
    """What was refused, with its shares where the tag is sensitive neither now nor was when they were noted."""
    levels = json.loads(row["levels"]) if row["levels"] is not None and row["tag"] in plain else None
    return {**_told(row, accepted), "levels": levels}


def _told(row: Row, accepted: Row | None) -> dict[str, object]:
    return {
        "tag": row["tag"],
        "finding": row["finding"],
        "rule": row["rule"],
        "number": row["number"],
        "base_at": row["base_at"].astimezone(UTC).isoformat(),
        "accepted_by": accepted["author"] if accepted else None,
        "accepted_for": accepted["reason"] if accepted else None,
    }


def _accepted(lake: Lake, workspace: str, number: int, args: argparse.Namespace) -> dict[str, object]:
    """Accept the one refusal that is meant; TerminalError where there is none, or more than one."""
    rows = guarding.noted(lake, workspace, number, REFUSED).where(F.col("tag") == args.accept)
    if args.finding:
        rows = rows.where(F.col("finding") == args.finding)
    found = rows.collect()
    if len(found) != 1:
        which = f", finding {args.finding}," if args.finding else ""
        known = listed([row["finding"] for row in found])
        problem = f"was refused {len(found)} times, with other shares each: name one of {known} by --finding"
        raise TerminalError(
            f"tag '{args.accept}'{which} of publication {number} of {workspace} "
            + (problem if found else "was not refused; `tags drift` shows what was, `tags run` tries again")
        )
    # Times come from Spark on this machine's clocks: where those are set back, one of them names two instants.
    refused = {**found[0].asDict(), "base_at": found[0]["base_at"].astimezone(UTC)}
    guarding.accept(lake, refused, author=args.author.strip(), reason=args.reason.strip())
    standing = guarding.noted(lake, workspace, number, ACCEPTED).where(F.col("finding") == found[0]["finding"])
    return {
        "workspace": workspace,
        "accepted": _told(found[0], standing.collect()[0]),
        "next": "start `tags run` again",
    }
