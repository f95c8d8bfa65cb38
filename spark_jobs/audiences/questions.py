"""What audiences ask of values of tags, each question once: one bitmap a question and chunk serves all audiences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from spark_jobs.audiences.definitions import (
    UNKNOWN,
    Audience,
    IsKnown,
    IsOneOf,
    IsWithin,
    KnownTag,
    is_within,
    tags_in,
)
from spark_jobs.settings import REFUSING


@dataclass(frozen=True, slots=True)
class HasRow:
    """The person has a row of the tag at all: its value is another than `otherwise`."""


@dataclass(frozen=True, slots=True)
class HasValue:
    """The row says just this value."""

    value: str


@dataclass(frozen=True, slots=True)
class HasNumber:
    """The row says a number that meets all bounds."""

    bounds: tuple[tuple[str, Decimal], ...]


Test = HasRow | HasValue | HasNumber


@dataclass(frozen=True, slots=True)
class Question:
    """One test of the rows of one tag."""

    tag: str
    test: Test


@dataclass(frozen=True, slots=True)
class Questions:
    """All questions of a build; the place of one is its number. tags: what is known of each tag that is asked."""

    every: tuple[Question, ...]
    tags: Mapping[str, KnownTag]


def questions_of(audiences: Iterable[Audience], tags: Mapping[str, KnownTag], *, refusal_tag: str) -> Questions:
    """Everything that must be asked; refusal_tag: the tag whose value `true` refuses profiling, '' for none."""
    found: dict[Question, None] = {}
    for audience in audiences:
        for asked in tags_in(audience.members):
            found.update(dict.fromkeys(asked_of(asked)))
    if refusal_tag:
        found.update(dict.fromkeys((Question(refusal_tag, HasRow()), Question(refusal_tag, HasValue(REFUSING)))))
    used = {one.tag for one in found}
    return Questions(tuple(found), {name: tags[name] for name in sorted(used)})


def asked_of(asked: IsOneOf | IsWithin | IsKnown) -> Iterator[Question]:
    """The questions that one condition needs."""
    yield Question(asked.tag, HasRow())
    yield Question(asked.tag, HasValue(UNKNOWN))
    match asked:
        case IsOneOf(tag, values):
            yield from (Question(tag, HasValue(value)) for value in values)
        case IsWithin(tag, bounds):
            yield Question(tag, HasNumber(bounds))
        case IsKnown():
            return


def is_met(test: Test, value: str) -> bool:
    """Whether a row with this value answers yes."""
    match test:
        case HasRow():
            return True
        case HasValue(wanted):
            return value == wanted
        case HasNumber(bounds):
            return is_within(value, bounds)
