"""What an audience is: an expression over the published tags of persons, with three answers: yes, no and unknown.

All values are frozen and compare by content, so two audiences that ask the same of a tag ask for one bitmap.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal, InvalidOperation

UNKNOWN = "unknown"
# Part of every rule: raise it when the meaning of a definition changes though its text does not.
MEANING = 1
# Long enough for a number of any tag; a text of digits without end is no number.
_LONGEST_NUMBER = 40


@dataclass(frozen=True, slots=True)
class IsOneOf:
    """The tag's value is one of these; unknown where the value is unknown."""

    tag: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IsWithin:
    """The tag's value is a number and meets all bounds: pairs of `at_least`, `above`, `at_most`, `below` and a limit.

    What is no number does not meet them; unknown where the value is unknown.
    """

    tag: str
    bounds: tuple[tuple[str, Decimal], ...]


@dataclass(frozen=True, slots=True)
class IsKnown:
    """Whether the tag's value is known, or with `wanted` false is not; the answer is never unknown."""

    tag: str
    wanted: bool


@dataclass(frozen=True, slots=True)
class Member:
    """A member of another audience; unknown where that one does not know."""

    audience: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; no where one does not, else unknown where one is."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds; yes where one does, else unknown where one is."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class LeastOf:
    """At least so many parts hold; unknown where it depends on parts that are."""

    least: int
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class NotOf:
    """The part does not hold, for persons of the publication; unknown where the part is."""

    part: Expression


@dataclass(frozen=True, slots=True)
class Settled:
    """The part, with unknown taken for yes (`possible`) or for no (`certain`); the answer is never unknown."""

    part: Expression
    unknown_is: bool


Expression = IsOneOf | IsWithin | IsKnown | Member | AllOf | AnyOf | LeastOf | NotOf | Settled


@dataclass(frozen=True, slots=True)
class KnownTag:
    """A tag that audiences may speak of.

    answers: its values, `otherwise` included; None where a measure's own text or number is the answer. version: of the
    published state, '' where only its definition is known.
    """

    name: str
    otherwise: str
    answers: tuple[str, ...] | None
    classes: tuple[str, ...] = ()
    version: str = ""


@dataclass(frozen=True, slots=True)
class Audience:
    """One audience.

    classes: as what it must be protected, what it inherits included. uses: the audiences that it speaks of, each with
    its rule. tags: all tags that it goes by, those of the audiences that it uses included.
    """

    name: str
    title_en: str
    title_zh: str
    owner: str
    classes: tuple[str, ...]
    members: Expression
    uses: tuple[tuple[str, str], ...] = ()
    tags: tuple[str, ...] = ()

    @property
    def rule(self) -> str:
        """16 hex digits that change when, and only when, the expression does, or that of an audience it uses."""
        return digest([MEANING, canonical(self.members), canonical(self.uses)])


def tags_in(expression: Expression) -> Iterator[IsOneOf | IsWithin | IsKnown]:
    """Everything that an expression asks of tags itself, not by other audiences."""
    match expression:
        case IsOneOf() | IsWithin() | IsKnown():
            yield expression
        case AllOf(parts) | AnyOf(parts) | LeastOf(_, parts):
            for part in parts:
                yield from tags_in(part)
        case NotOf(part) | Settled(part, _):
            yield from tags_in(part)
        case Member():
            return


def audiences_in(expression: Expression) -> Iterator[str]:
    """Names of the audiences that an expression speaks of."""
    match expression:
        case Member(audience):
            yield audience
        case AllOf(parts) | AnyOf(parts) | LeastOf(_, parts):
            for part in parts:
                yield from audiences_in(part)
        case NotOf(part) | Settled(part, _):
            yield from audiences_in(part)
        case _:
            return


def number_of(value: str) -> Decimal | None:
    """The number that a value is, exactly; None where it is none."""
    try:
        number = Decimal(value) if len(value) <= _LONGEST_NUMBER else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def is_within(value: str, bounds: tuple[tuple[str, Decimal], ...]) -> bool:
    """Whether a value is a number that meets all bounds."""
    number = number_of(value)
    return number is not None and all(_meets(number, kind, limit) for kind, limit in bounds)


def _meets(number: Decimal, kind: str, limit: Decimal) -> bool:
    return {
        "at_least": number >= limit,
        "above": number > limit,
        "at_most": number <= limit,
        "below": number < limit,
    }[kind]


def canonical(value: object) -> object:
    """The value as JSON can hold it, each dataclass with its name, so that no two definitions look alike."""
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__name__: {field.name: canonical(getattr(value, field.name)) for field in fields(value)}}
    if isinstance(value, tuple | list):
        return [canonical(item) for item in value]
    return str(value) if isinstance(value, Decimal) else value


def digest(content: object) -> str:
    """16 hex digits of canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
