"""What a tag's answers follow from: rule, base time, identity snapshot and the tables read; its hash is the version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spark_jobs.tagging.definitions import Catalogue, Head, Life, Tag, canonical, digest
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import SourcePlan, sources_of_tag
from spark_jobs.tagging.vocabulary import SOURCES

_LOOKED_UP = {"purchase_lines": "core.products", "campaign_targets": "core.campaigns"}


@dataclass(frozen=True, slots=True)
class TagVersion:
    """One version of one tag. basis: hash of what it was computed on, apart from rule and base time and snapshot.

    classes: the tag's sensitive classes, joined by commas; they stand on its rows, and are no part of the version.
    state: `deprecated` where the tag is said to go.
    """

    rule: str
    basis: str
    version: str
    classes: str = ""
    state: Life = "published"


@dataclass(frozen=True, slots=True)
class State:
    """What one run writes: versions by tag, with the base time (microseconds) and identity snapshot they share.

    refusals: words that name who refuses profiling; '' where nobody can.
    """

    workspace: str
    base: int
    snapshot_id: str
    tags: dict[str, TagVersion]
    refusals: str = ""

    def as_facts(self) -> dict[str, Any]:
        """The state as a publication carries it; what is usual is left out, as releases before the word had none."""
        facts = asdict(self)
        if not self.refusals:
            del facts["refusals"]
        for version in facts["tags"].values():
            if version["state"] == "published":
                del version["state"]
        return facts

    def classes_of(self, tag: str) -> tuple[str, ...]:
        """The sensitive classes of a tag; none of one that the state has not."""
        known = self.tags.get(tag)
        return tuple(known.classes.split(",")) if known is not None and known.classes else ()


def state_from(facts: Mapping[str, Any]) -> State:
    """The state that a publication carries."""
    tags = {name: TagVersion(**version) for name, version in facts["tags"].items()}
    return State(facts["workspace"], facts["base"], facts["snapshot_id"], tags, facts.get("refusals", ""))


def state_of(
    catalogue: Catalogue, moment: Moment, *, snapshot_id: str, stamps: Mapping[str, str], refusals: str = ""
) -> State:
    """The versions of all tags of a run; stamps: contract table name to the version of it that is read."""
    tags = {}
    for tag in catalogue.tags:
        sources = sorted(sources_of_tag(tag, catalogue))
        since = {source: moment.complete_since[source] for source in sources}
        basis = digest([watermark(tag, catalogue, stamps), since, moment.zone])
        # The calendar beside the zone: days and clock changes to come decide what is next.
        parts = [tag.name, tag.rule_hash, moment.base, moment.calendar.fingerprint, snapshot_id, basis]
        parts += [refusals] if refusals else []
        tags[tag.name] = TagVersion(tag.rule_hash, basis, digest(parts), ",".join(tag.classes), tag.state)
    return State(catalogue.workspace, moment.base, snapshot_id, tags, refusals)


def watermark(tag: Tag, catalogue: Catalogue, stamps: Mapping[str, str]) -> dict[str, str]:
    """The tables that a tag's rule reads, each with its version; identity has its own snapshot."""
    recorded = sources_of_tag(tag, catalogue) - catalogue.head.unrecorded
    return {table: stamps[table] for table in sorted(_tables_of(recorded))}


def tables_read(sources: tuple[SourcePlan, ...]) -> tuple[str, ...]:
    """Names of the tables that a plan reads, the identity map included."""
    return tuple(sorted({*_tables_of(frozenset(source.name for source in sources)), "core.identity_map"}))


def definition_text(of: Tag | Head) -> str:
    """A whole definition, or a catalogue's head, as JSON, the same text for the same; `recalling.py` reads it."""
    return json.dumps(canonical(of), sort_keys=True, ensure_ascii=False)


def _tables_of(sources: frozenset[str]) -> set[str]:
    return {SOURCES[name].table.name for name in sources} | {_LOOKED_UP[name] for name in sources if name in _LOOKED_UP}
