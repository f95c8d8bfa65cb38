"""What a tag is: values that say everything about one definition, the same for batch, incremental and as-of runs.

All are frozen and compare by content, so two tags that ask for the same thing ask for one thing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Literal

from spark_jobs.tagging.measures import Measure, Span

Among = Literal["everyone", "members", "customers"]
Life = Literal["draft", "published", "deprecated"]
Sensitivity = Literal["none", "health", "minors", "finance"]
ComparisonKind = Literal[
    "at_least", "above", "at_most", "below", "equals", "in", "within", "older_than", "older_than_times", "present"
]

UNKNOWN = "unknown"

# Part of every rule hash: raise it when the meaning of a definition changes though its text does not.
MEANING = 2


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of one measure; `operands` are scaled to the measure's unit, those of a ratio exact decimals."""

    measure: Measure
    kind: ComparisonKind
    operands: tuple[int | float | Decimal | str | bool | Span, ...]
    other: Measure | None = None


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class NotOf:
    """The part does not hold."""

    part: Condition


Condition = Comparison | AllOf | AnyOf | NotOf


@dataclass(frozen=True, slots=True)
class Level:
    """One value and when a person has it."""

    value: str
    when: Condition


@dataclass(frozen=True, slots=True)
class Rule:
    """What decides a tag's answers; its hash is part of the version.

    Either `levels` (first match wins) or `value` (the measure's own text or band) is given. `missing_is_unknown` says
    what an absent measure means: unknown, or simply no match. Persons outside `among` have the `otherwise` value.
    """

    among: Among
    missing_is_unknown: bool
    otherwise: str
    levels: tuple[Level, ...] = ()
    value: Measure | None = None


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of a catalogue: its rule, and what people need to know of it.

    classes: what it must be protected as, whatever it is derived from included. uses: the tags that its rule looks at,
    each with its rule hash. expect: value to the least and the largest share of persons that it must have to be
    published. most_change: by how much no value's share may differ from the state before. state: drafts are checked and
    estimated, never published; deprecated ones are published, and said to go.
    """

    name: str
    title_en: str
    title_zh: str
    folder: str
    owner: str
    classes: tuple[Sensitivity, ...]
    missing_means: str
    rule: Rule
    expect: tuple[tuple[str, Decimal, Decimal], ...] = ()
    uses: tuple[tuple[str, str], ...] = ()
    most_change: Decimal | None = None
    state: Life = "published"

    @property
    def rule_hash(self) -> str:
        """16 hex digits that change when, and only when, the rule does, or that of a tag it uses."""
        return digest([MEANING, canonical(self.rule), canonical(self.uses)])


@dataclass(frozen=True, slots=True)
class Property:
    """A property of events that tags may speak of: a text, or a number with so many decimals."""

    name: str
    decimals: int | None = None
    sensitivity: Sensitivity = "none"


@dataclass(frozen=True, slots=True)
class Head:
    """What holds for all tags of a catalogue; the names that measures may use, each with its class where it has one.

    complete_since: sources whose history begins later than the workspace's. unrecorded: sources of which the
    workspace has no rows at all, so that nothing can be said of them.
    """

    workspace: str = ""
    complete_since: tuple[tuple[str, str], ...] = ()
    unrecorded: frozenset[str] = frozenset()
    attributes: tuple[tuple[str, Sensitivity], ...] = ()
    imported: tuple[tuple[str, Sensitivity], ...] = ()
    manual: tuple[tuple[str, Sensitivity], ...] = ()
    scores: tuple[tuple[str, Sensitivity], ...] = ()
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All tags of one workspace, each behind those that it uses."""

    head: Head
    tags: tuple[Tag, ...]

    @property
    def workspace(self) -> str:
        """Whose tags they are."""
        return self.head.workspace

    @property
    def without_drafts(self) -> Catalogue:
        """What is published of it."""
        return Catalogue(self.head, tuple(tag for tag in self.tags if tag.state != "draft"))


def canonical(value: object) -> object:
    """The value as JSON can hold it, each dataclass with its name, so that no two definitions look alike."""
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: canonical(getattr(value, field.name)) for field in fields(value)}
        return {type(value).__name__: named}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def digest(content: object) -> str:
    """16 hex digits of canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
