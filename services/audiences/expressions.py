"""Expressions over names of audiences: `a & b`, `a | b`, `a - b`, brackets; `everyone` is all persons.

`&` binds before `|` and `-`, which are taken from left to right: `a | b & c - d` is `(a | (b & c)) - d`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pyroaring import BitMap

from spark_jobs.errors import TerminalError

EVERYONE = "everyone"
MOST_DEPTH = 100

_TOKEN = re.compile(r"\s*([a-z_][a-z0-9_]*|[&|()-])")


@dataclass(frozen=True, slots=True)
class Name:
    """An audience, or everyone."""

    name: str


@dataclass(frozen=True, slots=True)
class Both:
    """Two sets and what is done with them."""

    sign: Literal["&", "|", "-"]
    left: Expression
    right: Expression


Expression = Name | Both


def parsed(text: str) -> Expression:
    """The expression of a text; TerminalError says where it is none."""
    words = list(_words(text))
    reader = _Reader(text, words)
    found = reader.unions(0)
    if reader.place < len(words):
        raise reader.unexpected()
    return found


def names_in(expression: Expression) -> Iterator[str]:
    """Every name that it speaks of."""
    match expression:
        case Name(name):
            yield name
        case Both(_, left, right):
            yield from names_in(left)
            yield from names_in(right)


def members_of(expression: Expression, sets: Mapping[str, BitMap]) -> BitMap:
    """The members within one chunk; who has no bitmap there has nobody in it."""
    match expression:
        case Name(name):
            return sets.get(name, BitMap())
        case Both(sign, left, right):
            one, other = members_of(left, sets), members_of(right, sets)
            return {"&": one.__and__, "|": one.__or__, "-": one.__sub__}[sign](other)


def _words(text: str) -> Iterator[str]:
    place = 0
    while place < len(text.rstrip()):
        found = _TOKEN.match(text, place)
        if found is None:
            raise TerminalError(
                f"{text!r}: found {text[place:].strip()[:1]!r}, wanted names of audiences with &, |, - and brackets"
            )
        yield found[1]
        place = found.end()


@dataclass(slots=True)
class _Reader:
    """Where a text is read."""

    text: str
    words: list[str]
    place: int = 0

    def unions(self, depth: int) -> Expression:
        """Parts with | and - between them."""
        found = self.common(depth)
        while self.place < len(self.words) and (sign := self.words[self.place]) in ("|", "-"):
            self.place += 1
            found = Both("|" if sign == "|" else "-", found, self.common(depth))
        return found

    def common(self, depth: int) -> Expression:
        """Parts with & between them."""
        found = self.part(depth)
        while self.place < len(self.words) and self.words[self.place] == "&":
            self.place += 1
            found = Both("&", found, self.part(depth))
        return found

    def part(self, depth: int) -> Expression:
        """A name, or something in brackets."""
        if self.place >= len(self.words) or depth > MOST_DEPTH:
            raise self.unexpected()
        word = self.words[self.place]
        if word == "(":
            self.place += 1
            found = self.unions(depth + 1)
            if self.place >= len(self.words) or self.words[self.place] != ")":
                raise self.unexpected()
        elif word in ("&", "|", "-", ")"):
            raise self.unexpected()
        else:
            found = Name(word)
        self.place += 1
        return found

    def unexpected(self) -> TerminalError:
        """What is wrong here."""
        found = repr(self.words[self.place]) if self.place < len(self.words) else "the end"
        wanted = "a name, or an expression in brackets" if self._wants_part() else "&, |, - or the end"
        return TerminalError(f"{self.text!r}: found {found} as word {self.place + 1}, wanted {wanted}")

    def _wants_part(self) -> bool:
        before = self.words[self.place - 1] if self.place else "("
        return before in ("&", "|", "-", "(")
