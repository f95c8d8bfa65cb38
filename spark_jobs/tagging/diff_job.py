"""What lies between two published states of tags: persons who entered and left each value, definitions that changed."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings
from spark_jobs.storage.delta import Lake
from spark_jobs.tagging import asking, difference
from spark_jobs.tagging.asking import Kept
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.publications import Publication

# Values of a tag that are listed, those that moved most.
MOST_VALUES_SHOWN = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which two states."""
    for side in ("a", "b"):
        parser.add_argument(
            side,
            metavar=side.upper(),
            help="latest, previous, a number, a generation, an identity snapshot, or a day such as 2018-01-01",
        )
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose tags are compared")


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse an unknown workspace before Spark starts."""
    settings.workspace(args.workspace)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The difference; nothing is written. It is read from `tags.changes`, so any two states can be compared.

    Sensitive tags are left out, those that are sensitive in either state or in the one in force.
    """
    lake, workspace = Lake(spark, settings.storage_root), settings.workspace(args.workspace)
    a, b = (asking.named(lake, text, workspace) for text in (args.a, args.b))
    if a.number > b.number:
        raise TerminalError(f"'{args.a}' is state {a.number}, and '{args.b}' {b.number}: name the earlier one first")
    hidden = {*_sensitive(a), *_sensitive(b), *_sensitive(asking.published(lake, workspace.name))}
    changes = asking.changes_between(lake, workspace.name, a.number, b.number)
    told = changes.where(~F.col("tag").isin(*sorted(hidden))) if hidden else changes
    tags: dict[str, list[dict[str, object]]] = {}
    for row in difference.moves(difference.over_time(told), most=MOST_VALUES_SHOWN).orderBy("tag", "value").collect():
        counts = {"value": row["value"], "entered": int(row["entered"]), "left": int(row["left"])}
        tags.setdefault(row["tag"], []).append(counts)
    kept = asking.kept_of(lake, a), asking.kept_of(lake, b)
    return {
        "workspace": workspace.name,
        "a": _named(a),
        "b": _named(b),
        "tags": [{"tag": tag, "values": values} for tag, values in sorted(tags.items())],
        "left_out": len(hidden),
        "definitions": list(definitions_between(a, b, kept)),
    }


def definitions_between(
    a: Publication, b: Publication, kept: tuple[Mapping[str, Kept], Mapping[str, Kept]]
) -> Iterator[dict[str, Any]]:
    """Tags that came, went, or whose definition says something else: which parts, and both rule hashes."""
    before, after = a.state.tags, b.state.tags
    for tag in sorted({*before, *after}):
        rules = {"rule_before": before[tag].rule if tag in before else None}
        rules["rule_after"] = after[tag].rule if tag in after else None
        if tag not in before or tag not in after:
            yield {"tag": tag, "change": "added" if tag in after else "removed", **rules}
        elif parts := sorted({*_parts(kept[0][tag].definition, kept[1][tag].definition), *_stated(a, b, tag)}):
            yield {"tag": tag, "change": "changed", "parts": parts, **rules}


def _parts(before: str, after: str) -> Iterator[str]:
    """Names of what differs between two definitions; those of the rule stand behind a point."""
    # What an earlier release did not write had the value that it has where nothing is said.
    usual: dict[str, Any] = {"state": "published", "most_change": None, "uses": []}
    one, other = {**usual, **json.loads(before)["Tag"]}, {**usual, **json.loads(after)["Tag"]}
    yield from (name for name in {*one, *other} - {"rule"} if one.get(name) != other.get(name))
    rules = one["rule"]["Rule"], other["rule"]["Rule"]
    yield from (f"rule.{name}" for name in {*rules[0], *rules[1]} if rules[0].get(name) != rules[1].get(name))


def _stated(a: Publication, b: Publication, tag: str) -> Iterator[str]:
    # The version, and so its row with the definition, stays the same where these alone change.
    one, other = a.state.tags[tag], b.state.tags[tag]
    yield from (name for name in ("classes", "state") if getattr(one, name) != getattr(other, name))


def _sensitive(publication: Publication) -> set[str]:
    return {name for name, version in publication.state.tags.items() if version.classes}


def _named(publication: Publication) -> dict[str, object]:
    return {
        "number": publication.number,
        "generation": publication.generation,
        "base_at": moment_of(publication.state.base).isoformat(),
        "snapshot_id": publication.state.snapshot_id,
        "published_at": publication.published_at.isoformat() if publication.published_at else None,
    }
