"""Variables of an inventory that look like a role's and are none: a slip would leave the default in force, unseen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def unknown(variables: Mapping[str, Mapping[str, Any]], roles: Path) -> list[str]:
    """`host: name` of each; `variables` are those of each host, `roles` the folder whose argument_specs know them."""
    known: set[str] = set()
    prefixes = []
    for specs in sorted(roles.glob("*/meta/argument_specs.yml")):
        entries = yaml.safe_load(specs.read_text(encoding="utf-8"))["argument_specs"].values()
        known |= {name for entry in entries for name in entry.get("options") or {}}
        prefixes.append(f"{specs.parents[1].name}_")
    return [
        f"{host}: {name}"
        for host, own in sorted(variables.items())
        for name in sorted(set(own) - known)
        if name.startswith((*prefixes,))
    ]
