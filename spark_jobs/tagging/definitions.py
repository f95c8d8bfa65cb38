"""What a tag is: values that say everything about one definition, the same for batch, incremental and as-of runs.

All are frozen and compare by content, so two tags that ask for the same thing ask for one thing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Literal

Unit = Literal["hours", "days", "months"]
Among = Literal["everyone", "members", "customers"]
Sensitivity = Literal["none", "health", "minors", "finance"]
ComparisonKind = Literal[
    "at_least", "above", "at_most", "below", "equals", "in", "within", "older_than", "older_than_times", "present"
]

UNKNOWN = "unknown"

# Part of every rule hash: raise it when the meaning of a definition changes though its text does not.
MEANING = 1


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time: hours elapse; days and months are those of the workspace's calendar."""

    amount: int
    unit: Unit

    def __str__(self) -> str:
        return f"{self.amount} {self.unit}"


@dataclass(frozen=True, slots=True)
class Selection:
    """Rows of one source: `where` names fields and their allowed values, `window` is [base - window, base)."""

    source: str
    where: tuple[tuple[str, tuple[str, ...]], ...] = ()
    window: Span | None = None


@dataclass(frozen=True, slots=True)
class Count:
    """Number of rows."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Sum:
    """Sum of a number field, in units of its last decimal (cents)."""

    of: Selection
    field: str


@dataclass(frozen=True, slots=True)
class First:
    """Instant of the earliest row."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Last:
    """Instant of the latest row."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Recency:
    """Days back to the latest row: 1 is the day that ends at the base time."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Days:
    """Number of dates of the workspace with at least one row."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Mean time between dates with rows; absent with fewer than three such dates."""

    of: Selection


@dataclass(frozen=True, slots=True)
class Preference:
    """The value of a text field with most rows, or the largest sum of `by`, if it has `at_least_share` of the whole.

    Ties: the value met last, then the smaller text.
    """

    of: Selection
    field: str
    by: str | None = None
    at_least_share: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute on the member's record."""

    name: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Instant of the latest `first` in the window that no `without` followed in [first, first + within).

    It counts from first + within on: until then it is open.
    """

    first: Selection
    without: Selection
    within: Span


@dataclass(frozen=True, slots=True)
class Ratio:
    """One number over another; absent where the other is zero."""

    part: Measure
    whole: Measure


@dataclass(frozen=True, slots=True)
class Quantile:
    """Band 1 (lowest) to `bands` among the tag's persons whose number is above zero; equal numbers share a band."""

    of: Measure
    bands: int


Aggregate = Count | Sum | First | Last | Recency | Days | Rhythm | Preference
Measure = Aggregate | Attribute | Sequence | Ratio | Quantile


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of one measure; `operands` are scaled to the measure's unit."""

    measure: Measure
    kind: ComparisonKind
    operands: tuple[int | float | str | bool | Span, ...]
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
    """One tag of a catalogue: its rule, and what people need to know of it."""

    name: str
    title_en: str
    title_zh: str
    folder: str
    owner: str
    sensitivity: Sensitivity
    missing_means: str
    rule: Rule

    @property
    def rule_hash(self) -> str:
        """16 hex digits that change when, and only when, the rule does."""
        return digest([MEANING, canonical(self.rule)])


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All tags of one workspace; `complete_since` names sources whose history begins later than the workspace's."""

    workspace: str
    complete_since: tuple[tuple[str, str], ...]
    tags: tuple[Tag, ...]


def canonical(value: object) -> object:
    """The value as JSON can hold it, each dataclass with its name, so that no two definitions look alike."""
    if is_dataclass(value) and not isinstance(value, type):
        named = {field.name: canonical(getattr(value, field.name)) for field in fields(value)}
        return {type(value).__name__: named}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def digest(content: object) -> str:
    """16 hex digits of canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
