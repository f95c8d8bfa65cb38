"""What the commits of a Delta table say: which version is newest, and the facts that writers left in them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from delta.tables import DeltaTable

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import Lake


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: its version, when it was made, and the writer's facts (empty where it left none)."""

    version: int
    committed_at: datetime
    facts: dict[str, Any]

    @property
    def stamp(self) -> str:
        """Version and time: differs also between a table and its namesake that was made anew."""
        return f"{self.version}@{self.committed_at:%Y-%m-%dT%H:%M:%S.%f}"


def newest_commits(lake: Lake, table: Table, *, limit: int = 1) -> Iterator[Commit]:
    """The newest commits of a table, newest first."""
    history = DeltaTable.forPath(lake.spark, lake.path_of(table)).history(limit)
    for row in history.select("version", "timestamp", "userMetadata").collect():
        yield Commit(int(row["version"]), row["timestamp"], _facts(row["userMetadata"]))


def _facts(text: str | None) -> dict[str, Any]:
    # Whoever writes by hand may leave any text: it is no fact of ours.
    try:
        facts = json.loads(text or "{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}
