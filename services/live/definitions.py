"""What a generation of live tags is made of, as the store keeps it, and the plan that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from services.live.plan import LivePlan, live_plan
from spark_jobs.errors import TerminalError
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.moment import moment_at
from spark_jobs.tagging.recalling import head_from, tag_from


@dataclass(frozen=True, slots=True)
class LiveTag:
    """One live tag: its number in the generation of tags, its version in the publication, whether it is sensitive."""

    number: int
    version: str
    is_sensitive: bool


@dataclass(frozen=True)
class LiveFacts:
    """One generation of live tags. base: the batch's base time, microseconds; starts: offsets of the watermark.

    head, definitions: texts of `tags.versions`, those of live tags, each behind the ones that it uses.
    """

    workspace: str
    base: int
    zone: str
    complete_since: str
    head: str
    definitions: Mapping[str, str]
    tags: Mapping[str, LiveTag]
    starts: Mapping[int, int]

    @cached_property
    def plan(self) -> LivePlan:
        """What the live tags count."""
        head = head_from(self.head)
        catalogue = Catalogue(head, tuple(tag_from(text) for text in self.definitions.values()))
        zone, since = ZoneInfo(self.zone), date.fromisoformat(self.complete_since)
        plan = live_plan(catalogue, moment_at(moment_of(self.base), zone, complete_since=since, catalogue=catalogue))
        if plan is None:
            raise TerminalError(f"{self.workspace}: no definition of this generation is live; load profiles anew")
        return plan

    def as_json(self) -> dict[str, Any]:
        """As a generation carries it."""
        kept = asdict(self)
        # In a list, as JSON objects that are sorted by name would lose the order.
        return {**kept, "definitions": [list(one) for one in self.definitions.items()]}


def facts_from(content: Mapping[str, Any]) -> LiveFacts:
    """The facts that a generation carries."""
    given = dict(content)
    given["definitions"] = dict(given["definitions"])
    given["tags"] = {name: LiveTag(**one) for name, one in given["tags"].items()}
    given["starts"] = {int(partition): offset for partition, offset in given["starts"].items()}
    return LiveFacts(**given)
