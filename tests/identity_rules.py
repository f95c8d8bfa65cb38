"""Files of identity rules for tests: a test names only what it changes of the shipped ones."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from spark_jobs.identity.rules_file import SHIPPED

SHIPPED_RULES: dict[str, Any] = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))


def changed(path: str, value: object) -> dict[str, Any]:
    """The shipped rules with another value at a path such as `types.phone.owner_limit`; `None` takes it away."""
    content = copy.deepcopy(SHIPPED_RULES)
    *parents, last = path.split(".")
    place: Any = content
    for parent in parents:
        place = place[parent]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return content


def rules_at(folder: Path, content: object) -> Path:
    """The file, written."""
    path = folder / "identity.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path
