"""What an audience publication says: of which tags it was made, and of each audience its rule, version and size.

A generation counts when one append to `tags.audience_publications` says so. Of two runs beside each other, which aim
at the same number, one publishes; what the other wrote counts nowhere, and is deleted once its number is taken.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import Row

from spark_jobs.audiences.definitions import Audience, KnownTag, canonical, digest
from spark_jobs.contracts.audiences import AUDIENCE_PUBLICATIONS

# A run that died aimed at one of the numbers that were next then; so many back were cleaned long ago.
NUMBERS_LOOKED_AT = 10


@dataclass(frozen=True, slots=True)
class TagsState:
    """A publication of tags: what audiences are made of. snapshot_us: since when its identity snapshot is known."""

    number: int
    generation: str
    base_at: datetime
    snapshot_id: str
    snapshot_us: int
    rows: int
    tags: Mapping[str, KnownTag]


@dataclass(frozen=True, slots=True)
class Told:
    """What a publication tells of one audience; persons and unknown are counted when it is computed."""

    rule: str
    version: str
    classes: str
    tags: tuple[str, ...]
    definition: object
    persons: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True)
class Basis:
    """All that the members of audiences follow from: equal bases have equal members."""

    tags_number: int
    tags_generation: str
    refusals: str
    versions: Mapping[str, tuple[str, str]]  # audience to version and classes


@dataclass(frozen=True, slots=True)
class Publication:
    """One row of `tags.audience_publications`."""

    workspace: str
    generation: str
    number: int
    tags_number: int
    tags_generation: str
    base_at: datetime
    snapshot_id: str
    persons: int
    refused: int
    changes: int
    refusals: str
    audiences: Mapping[str, Told]

    @property
    def basis(self) -> Basis:
        """What it follows from."""
        versions = {name: (told.version, told.classes) for name, told in self.audiences.items()}
        return Basis(self.tags_number, self.tags_generation, self.refusals, versions)

    @property
    def shown(self) -> dict[str, int]:
        """Sizes by name, without audiences of sensitive classes: what a run prints is read by more people."""
        return {name: told.persons for name, told in sorted(self.audiences.items()) if not told.classes}

    def as_row(self, published_at: datetime) -> tuple[object, ...]:
        """The row, in the order of the contract."""
        audiences = {name: asdict(told) for name, told in self.audiences.items()}
        values: dict[str, object] = {
            "workspace_id": self.workspace,
            "generation": self.generation,
            "number": self.number,
            "tags_number": self.tags_number,
            "tags_generation": self.tags_generation,
            "base_at": self.base_at,
            "snapshot_id": self.snapshot_id,
            "published_at": published_at,
            "persons": self.persons,
            "refused": self.refused,
            "changes": self.changes,
            "refusals": self.refusals,
            "audiences": json.dumps(audiences, sort_keys=True, ensure_ascii=False),
        }
        return tuple(values[name] for name in AUDIENCE_PUBLICATIONS.column_names)


def publication_from(row: Row) -> Publication:
    """The publication that a row tells of."""
    names = ("generation", "number", "tags_number", "tags_generation", "base_at", "snapshot_id")
    counts = ("persons", "refused", "changes", "refusals")
    told: dict[str, dict[str, Any]] = json.loads(row["audiences"])
    return Publication(
        row["workspace_id"],
        **{name: row[name] for name in (*names, *counts)},
        audiences={name: Told(**{**facts, "tags": tuple(facts["tags"])}) for name, facts in told.items()},
    )


def told_of(audiences: Iterable[Audience], state: TagsState, refusals: str) -> dict[str, Told]:
    """What can be told of audiences before they are computed."""
    found = {}
    for audience in audiences:
        versions = {tag: state.tags[tag].version for tag in audience.tags}
        version = digest([audience.rule, versions, state.snapshot_id, refusals])
        classes = ",".join(audience.classes)
        found[audience.name] = Told(audience.rule, version, classes, audience.tags, canonical(audience.members))
    return found


def tags_of(state: Mapping[str, Any], definitions: Mapping[str, Mapping[str, Any]]) -> dict[str, KnownTag]:
    """The tags of a published state. In: `tags` of its JSON, and the definition of each in `tags.versions`."""
    found = {}
    for name, facts in state.items():
        rule = definitions[name]["Tag"]["rule"]["Rule"]
        levels = [level["Level"]["value"] for level in rule["levels"]]
        answers = (*dict.fromkeys((*levels, rule["otherwise"])),) if levels else None
        classes = tuple(filter(None, facts.get("classes", "").split(",")))
        found[name] = KnownTag(name, rule["otherwise"], answers, classes, facts["version"])
    return found


def generation_of(number: int, run_id: str) -> str:
    """The name of what a run writes: names ascend with the numbers that runs aim at."""
    return f"{number:012d}-{run_id}"


def of_generations(workspace: str, generations: Sequence[str]) -> str:
    """SQL condition on the rows of these generations."""
    names = ", ".join(f"'{name}'" for name in sorted(generations))
    return f"workspace_id = '{workspace}' AND generation IN ({names})"


def leftovers(workspace: str, number: int, kept: Iterable[str]) -> str:
    """SQL condition on what no reader needs once a number is taken; whoever aims at a later one is left alone."""
    names = ", ".join(f"'{name}'" for name in sorted(kept))
    old = f"generation < '{generation_of(number + 1, '')}' AND generation NOT IN ({names})"
    return f"workspace_id = '{workspace}' AND (generation IS NULL OR ({old}))"
