"""The verbs of `./databank cluster`: what each is for, what it is told, and what is done before its playbook runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.cluster.state import State


def _nothing(_known: State, _args: argparse.Namespace) -> None:
    """Most verbs need nothing but their playbook."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: `arguments` maps flags or names to argparse's options; its playbook finds them in `databank_asked`."""

    purpose: str
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    before: Callable[[State, argparse.Namespace], None] = _nothing


VERBS: Mapping[str, Verb] = {
    "preflight": Verb("could these hosts run it? Changes nothing on them"),
    "install": Verb("bring hosts to what the inventory says; again changes nothing"),
    "verify": Verb("send a message, a file, a table and a query all the way through"),
}


def asked(args: argparse.Namespace) -> dict[str, Any]:
    """What the verb's own arguments were given, as a playbook reads it: paths are absolute."""
    names = [name.lstrip("-").replace("-", "_") for name in VERBS[args.verb].arguments]
    given = {name: getattr(args, name) for name in names}
    return {name: str(value.resolve()) if isinstance(value, Path) else value for name, value in given.items()}
