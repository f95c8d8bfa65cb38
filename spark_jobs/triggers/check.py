"""Check definitions of triggers, decide nothing: what is wrong, and what each of them is."""

from __future__ import annotations

import argparse
from pathlib import Path

from spark_jobs.settings import Settings
from spark_jobs.triggers.reading import triggers_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose definitions."""
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose triggers are checked")
    parser.add_argument("--triggers", metavar="DIR", type=Path, help="definitions; default: the shipped ones")


def preflight(settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """The whole check; it needs no Spark, so this is all that the verb does."""
    workspace = settings.workspace(args.workspace)
    found = triggers_of(args.triggers, workspace.name)
    return {"workspace": workspace.name, "triggers": [dict(trigger.as_facts()) for trigger in found]}
