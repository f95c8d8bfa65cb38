"""Expressions over bitmaps of one chunk: Kleene's logic of yes, no and unknown, exact for every person.

Whoever is in neither bitmap of a `Truth` is a no. All persons of a `World` have an answer, and nobody else has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from operator import and_, or_

from pyroaring import BitMap

from spark_jobs.audiences.definitions import (
    UNKNOWN,
    AllOf,
    AnyOf,
    Expression,
    IsKnown,
    IsOneOf,
    IsWithin,
    LeastOf,
    Member,
    NotOf,
    Settled,
    is_within,
)
from spark_jobs.audiences.questions import HasNumber, HasRow, HasValue, Question, Questions


@dataclass(frozen=True, slots=True)
class Truth:
    """Of whom it holds, and of whom it is unknown; nobody is in both."""

    yes: BitMap
    unknown: BitMap

    @property
    def possible(self) -> BitMap:
        """Of whom it may hold."""
        return self.yes | self.unknown


@dataclass(frozen=True, slots=True)
class World:
    """One chunk: its persons, who answers each question with yes, and the audiences that were evaluated so far."""

    questions: Questions
    persons: BitMap
    answers: Mapping[Question, BitMap]
    audiences: dict[str, Truth] = field(default_factory=dict)

    def asked(self, question: Question) -> BitMap:
        """The persons who answer a question with yes."""
        found = self.answers.get(question)
        return BitMap() if found is None else found & self.persons

    def without_row(self, tag: str) -> BitMap:
        """The persons who have the tag's `otherwise` value for want of a row."""
        return self.persons - self.asked(Question(tag, HasRow()))

    def unknown(self, tag: str) -> BitMap:
        """The persons of whom the tag's value is unknown."""
        found = self.asked(Question(tag, HasValue(UNKNOWN)))
        return found | self.without_row(tag) if self.questions.tags[tag].otherwise == UNKNOWN else found


def truth_of(expression: Expression, world: World) -> Truth:
    """Of which persons of the world an expression holds; all audiences that it speaks of are evaluated."""
    match expression:
        case IsOneOf(tag, values):
            found = _union(world.asked(Question(tag, HasValue(value))) for value in values)
            return _of_values(tag, found, world, is_otherwise=world.questions.tags[tag].otherwise in values)
        case IsWithin(tag, bounds):
            is_otherwise = is_within(world.questions.tags[tag].otherwise, bounds)
            return _of_values(tag, world.asked(Question(tag, HasNumber(bounds))), world, is_otherwise=is_otherwise)
        case IsKnown(tag, wanted):
            unknown = world.unknown(tag)
            return Truth(world.persons - unknown if wanted else unknown, BitMap())
        case Member(audience):
            return world.audiences[audience]
        case _:
            return _combined(expression, world)


def _combined(expression: AllOf | AnyOf | LeastOf | NotOf | Settled, world: World) -> Truth:
    match expression:
        case AllOf(parts):
            return _at_least(len(parts), parts, world)
        case AnyOf(parts):
            return _at_least(1, parts, world)
        case LeastOf(least, parts):
            return _at_least(least, parts, world)
        case NotOf(part):
            truth = truth_of(part, world)
            return Truth(world.persons - truth.possible, truth.unknown)
        case Settled(part, unknown_is):
            truth = truth_of(part, world)
            return Truth(truth.possible if unknown_is else truth.yes, BitMap())


def _of_values(tag: str, found: BitMap, world: World, *, is_otherwise: bool) -> Truth:
    unknown = world.unknown(tag)
    held = found | world.without_row(tag) if is_otherwise else found
    return Truth(held - unknown, unknown)


def _at_least(least: int, parts: tuple[Expression, ...], world: World) -> Truth:
    """`all` is at least as many as there are, `any` at least one."""
    truths = [truth_of(part, world) for part in parts]
    yes = _counted(least, [truth.yes for truth in truths], world)
    return Truth(yes, _counted(least, [truth.possible for truth in truths], world) - yes)


def _counted(least: int, parts: list[BitMap], world: World) -> BitMap:
    """Who is in at least so many of the parts."""
    if least == 1:
        return _union(parts)
    if least == len(parts):
        return reduce(and_, parts)
    # reached[n]: who is in n of the parts so far, or in more.
    reached = [world.persons, *(BitMap() for _ in range(least))]
    for part in parts:
        for count in range(least, 0, -1):
            reached[count] = reached[count] | (reached[count - 1] & part)
    return reached[least]


def _union(parts: Iterable[BitMap]) -> BitMap:
    return reduce(or_, parts, BitMap())
