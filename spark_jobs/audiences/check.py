"""Check definitions of audiences, compute nothing: what is wrong, and what each is made of."""

from __future__ import annotations

import argparse
from pathlib import Path

from spark_jobs.audiences.definitions import Audience, KnownTag
from spark_jobs.audiences.reading import folder_of, read_audiences
from spark_jobs.settings import Settings
from spark_jobs.tagging.check import catalogue_of
from spark_jobs.tagging.definitions import Catalogue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose definitions, and of which tags they are made."""
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose audiences are checked")
    parser.add_argument("--audiences", metavar="DIR", type=Path, help="definitions; default: the shipped ones")
    parser.add_argument("--catalogue", metavar="DIR", type=Path, help="definitions of tags; default: the shipped ones")


def preflight(settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The whole check; it needs no Spark, so this is all that the verb does."""
    workspace = settings.workspace(args.workspace)
    catalogue = catalogue_of(args.catalogue, workspace.name)
    audiences = read_audiences(folder_of(args.audiences, workspace.name), tags_of(catalogue))
    return {"workspace": workspace.name, "audiences": [described(audience) for audience in audiences]}


def tags_of(catalogue: Catalogue) -> dict[str, KnownTag]:
    """The tags of a catalogue, as audiences see them."""
    found = {}
    for tag in catalogue.tags:
        levels = [level.value for level in tag.rule.levels]
        answers = (*dict.fromkeys((*levels, tag.rule.otherwise)),) if levels else None
        found[tag.name] = KnownTag(tag.name, tag.rule.otherwise, answers, tag.classes)
    return found


def described(audience: Audience) -> dict[str, object]:
    """What a reader of the check wants to know of one audience."""
    return {
        "audience": audience.name,
        "title": {"en": audience.title_en, "zh": audience.title_zh},
        "owner": audience.owner,
        "classes": list(audience.classes),
        "rule": audience.rule,
        "tags": list(audience.tags),
        "uses": [name for name, _ in audience.uses],
    }
