"""The audiences in force, and the tags in force beside them: how old what is counted is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.profiles.lake import Lake
from spark_jobs.contracts.audiences import AUDIENCE_PUBLICATIONS
from spark_jobs.contracts.derived import TAG_PUBLICATIONS
from spark_jobs.errors import TerminalError


@dataclass(frozen=True, slots=True)
class Published:
    """One publication of a workspace's audiences.

    tags_behind: publications of tags that came since. sensitive: audiences that not everybody may see: of a sensitive
    class, or made of a tag that is of one by now.
    """

    workspace: str
    number: int
    generation: str
    snapshot_id: str
    base_at: datetime
    published_at: datetime
    persons: int
    audiences: dict[str, dict[str, Any]]
    tags_behind: int
    sensitive: frozenset[str]


_NEWEST = """
SELECT number, generation, snapshot_id, epoch_us(base_at), epoch_us(published_at), persons, audiences, tags_number
FROM publications WHERE workspace_id = $workspace ORDER BY number DESC LIMIT 1
"""
_TAGS = """
SELECT number, state FROM publications WHERE workspace_id = $workspace AND kind = 'current'
ORDER BY number DESC LIMIT 1
"""


def newest_published(lake: Lake, workspace: str) -> Published:
    """The publication in force; TerminalError where there is none."""
    values = {"workspace": workspace}
    found = lake.rows(_NEWEST, {"publications": AUDIENCE_PUBLICATIONS}, values)
    if not found:
        raise TerminalError(
            f"no audiences of {workspace!r} are published; run `./databank audience build --workspace {workspace}`"
        )
    number, generation, snapshot_id, base_us, published_us, persons, audiences, tags_number = found[0]
    told: dict[str, dict[str, Any]] = json.loads(audiences)
    ((newest, state),) = lake.rows(_TAGS, {"publications": TAG_PUBLICATIONS}, values)
    hidden = {name for name, facts in json.loads(state)["tags"].items() if facts.get("classes")}
    return Published(
        workspace=workspace,
        number=number,
        generation=generation,
        snapshot_id=snapshot_id,
        base_at=_moment(base_us),
        published_at=_moment(published_us),
        persons=persons,
        audiences=told,
        tags_behind=int(newest) - int(tags_number),
        sensitive=frozenset(name for name, facts in told.items() if facts["classes"] or hidden & set(facts["tags"])),
    )


def _moment(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)
