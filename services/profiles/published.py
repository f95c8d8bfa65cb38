"""What the lake says is published: the newest tags of a workspace, and the identity snapshot that they stand on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.profiles.lake import Lake
from spark_jobs.contracts.derived import TAG_PUBLICATIONS, TAG_VERSIONS
from spark_jobs.contracts.identity import IDENTITY_SNAPSHOTS
from spark_jobs.errors import TerminalError


@dataclass(frozen=True, slots=True)
class Published:
    """One publication of a workspace's tags. snapshot_us: since when its identity snapshot is known, microseconds.

    refusals: words for who refused profiling, and so was left out; '' where nobody could.
    """

    workspace: str
    number: int
    generation: str
    snapshot_id: str
    snapshot_us: int
    published_at: datetime
    base_at: datetime
    rows: int
    state: dict[str, dict[str, Any]]
    refusals: str = ""


_NEWEST = """
SELECT number, generation, snapshot_id, epoch_us(published_at), epoch_us(base_at), "rows", state
FROM publications WHERE workspace_id = $workspace AND kind = 'current' ORDER BY number DESC LIMIT 1
"""
# A snapshot may have been published twice; what its tags were computed on was published before them.
_SNAPSHOT = """
SELECT max(epoch_us(published_at)) FROM snapshots
WHERE snapshot_id = $snapshot_id AND epoch_us(published_at) <= $before_us
"""
_CHANGES = """
SELECT coalesce(sum(changes), 0) FROM publications
WHERE workspace_id = $workspace AND kind = 'current' AND number > $since AND number <= $until
"""
_DEFINITIONS = "SELECT tag, version, definition FROM versions WHERE workspace_id = $workspace AND base_at = $base_at"


def newest_published(lake: Lake, workspace: str) -> Published:
    """The publication in force; TerminalError where there is none, or its identity snapshot is not published."""
    found = lake.rows(_NEWEST, {"publications": TAG_PUBLICATIONS}, {"workspace": workspace})
    if not found:
        raise TerminalError(
            f"no tags of {workspace!r} are published; run `./databank tags run --workspace {workspace}`"
        )
    number, generation, snapshot_id, published_us, base_us, rows, text = found[0]
    state = json.loads(text)
    values = {"snapshot_id": snapshot_id, "before_us": published_us}
    ((snapshot_us,),) = lake.rows(_SNAPSHOT, {"snapshots": IDENTITY_SNAPSHOTS}, values)
    if snapshot_us is None:
        raise TerminalError(f"identity snapshot {snapshot_id}, which the tags stand on, is not published")
    return Published(
        workspace=workspace,
        number=number,
        generation=generation,
        snapshot_id=snapshot_id,
        snapshot_us=snapshot_us,
        published_at=_moment(published_us),
        base_at=_moment(base_us),
        rows=rows,
        state=state["tags"],
        refusals=str(state.get("refusals") or ""),
    )


def changes_since(lake: Lake, published: Published, number: int) -> int:
    """How many changes lie between an older publication and this one."""
    values = {"workspace": published.workspace, "since": number, "until": published.number}
    return int(lake.rows(_CHANGES, {"publications": TAG_PUBLICATIONS}, values)[0][0])


def defaults(lake: Lake, published: Published) -> dict[str, str | None]:
    """Tag name to the value of persons without a row, as its definition of this version says."""
    values = {"workspace": published.workspace, "base_at": published.base_at}
    wanted = {(name, facts["version"]) for name, facts in published.state.items()}
    found = lake.rows(_DEFINITIONS, {"versions": TAG_VERSIONS}, values)
    return {tag: _otherwise(definition) for tag, version, definition in found if (tag, version) in wanted}


def _otherwise(definition: str) -> str | None:
    rule = json.loads(definition).get("Tag", {}).get("rule", {}).get("Rule", {})
    value = rule.get("otherwise")
    return None if value is None else str(value)


def _moment(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
