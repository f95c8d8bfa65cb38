"""The drift guard: shares of a tag's values against the bands that its definition gives, and against the state before.

A finding has an id that follows from all that a person is shown of it: publication, base time, tag, rule, bands and
shares. Accepting it lets through that and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from decimal import Decimal
from fractions import Fraction

from spark_jobs.tagging.definitions import Catalogue, Tag, digest

# Shares are shown, and so accepted, to a hundredth of a percent.
PLACES = 4
Band = tuple[Fraction, Fraction]


@dataclass(frozen=True, slots=True)
class Shares:
    """Persons by tag and value, of `persons` altogether; of a tag with `most` values or more some may be left out."""

    of_tags: Mapping[str, Mapping[str, int]]
    persons: int
    most: int

    def of(self, tag: str, value: str) -> Band:
        """Between which shares a value's share lies: one share where it is counted."""
        counted = self.of_tags[tag]
        if value in counted or len(counted) < self.most:
            share = self._share(counted.get(value, 0))
            return share, share
        # Of those with a band some are rarer than what was left out.
        return Fraction(0), self._share(sorted(counted.values(), reverse=True)[self.most - 1])

    def _share(self, persons: int) -> Fraction:
        return Fraction(persons, self.persons) if self.persons else Fraction(0)


@dataclass(frozen=True, slots=True)
class Left:
    """A value whose share is not where it must be, as texts: which share, and what was wanted."""

    value: str
    share: str
    wanted: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A publication that is to be made: its workspace, number and base time (microseconds)."""

    workspace: str
    number: int
    base: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One tag that keeps a publication from being made, and the id under which a person may accept it.

    classes: the sensitive ones that it has, by its definition or in the state in force.
    """

    tag: str
    rule: str
    classes: tuple[str, ...]
    left: tuple[Left, ...]
    finding: str

    @property
    def told(self) -> str:
        """What may be told of it: of a sensitive tag no share."""
        if self.classes:
            return f"tag '{self.tag}' ({', '.join(self.classes)}) left its bands"
        parts = [f"'{one.value}' has a share of {one.share}, wanted {one.wanted}" for one in self.left]
        return f"tag '{self.tag}': {'; '.join(parts)}"


def findings_of(catalogue: Catalogue, now: Shares, before: Shares | None, attempt: Attempt) -> tuple[Finding, ...]:
    """The tags of which a value's share is outside its band, or too far from what it was in the state before."""
    found = []
    for tag in catalogue.tags:
        if left := (*_outside(tag, now), *_moved(tag, now, before)):
            told = [astuple(one) for one in left]
            key = digest([attempt.workspace, attempt.number, attempt.base, tag.name, tag.rule_hash, told])
            found.append(Finding(tag.name, tag.rule_hash, tag.classes, left, key))
    return tuple(found)


def shown(share: Fraction) -> str:
    """A share as people see it."""
    return f"{round(Decimal(share.numerator) / Decimal(share.denominator), PLACES):.{PLACES}f}"


def band_text(least: Decimal, largest: Decimal) -> str:
    """A band as people see it."""
    return f"{least:f} to {largest:f}"


def _outside(tag: Tag, now: Shares) -> Iterator[Left]:
    for value, least, largest in tag.expect:
        share, _ = now.of(tag.name, value)  # what has a band is always counted
        if not Fraction(least) <= share <= Fraction(largest):
            yield Left(value, shown(share), band_text(least, largest))


def _moved(tag: Tag, now: Shares, before: Shares | None) -> Iterator[Left]:
    if tag.most_change is None or before is None or tag.name not in before.of_tags:
        return
    for value in sorted({*now.of_tags[tag.name], *before.of_tags[tag.name]}):
        share, was = now.of(tag.name, value), before.of(tag.name, value)
        # Where one of the two is not counted, the change is at least the gap between what both may be.
        if max(share[0] - was[1], was[0] - share[1]) > Fraction(tag.most_change):
            yield Left(value, shown(share[0]), f"at most {tag.most_change:f} from {shown(was[0])} before")
