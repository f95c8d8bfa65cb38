"""Broken and duplicate lines among the real ones, as old systems leave them; where each stands is remembered.

A broken line is made from a real one under a basket number that no real basket has, so that it can never pass for
the real one; read leniently it still lacks a value or holds a senseless one. Real lines stay as they are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

BROKEN_OF_EACH_KIND = 5
SAME_FILE_COPIES = 120
OTHER_MONTH_COPIES = 80

_HOUSEHOLD, _STORE, _BASKET, _PRODUCT, _QUANTITY, _SALES, _RETAIL = range(7)
_TIME = 10
_FIRST_PLANTED_BASKET = 99_000_000_000  # real numbers end at 41,481,282,915


@dataclass(frozen=True, slots=True)
class Planted:
    """One added line: its file, line (1 is the header) and byte once the file is written, kind and rightful place."""

    file: str
    line: int
    byte: int
    kind: str
    place: str  # quarantined or duplicate


@dataclass(frozen=True, slots=True)
class _Insertion:
    file: int
    before: int  # index of the real line that will follow it
    content: bytes
    kind: str
    place: str


Damage = Callable[[list[bytes]], bytes]


def _with(index: int, *values: bytes) -> Callable[[random.Random], Damage]:
    def choose(chance: random.Random) -> Damage:
        value = chance.choice(values)
        return lambda fields: b",".join([*fields[:index], value, *fields[index + 1 :]])

    return choose


def _cut(chance: random.Random) -> Damage:
    kept = chance.randrange(3, 9)
    return lambda fields: b",".join(fields[:kept])


def _decimal_comma(_chance: random.Random) -> Damage:
    # One column too many, and the week stands where the time should be.
    return lambda fields: b",".join([*fields[:_SALES], b"1", b"99", *fields[_RETAIL:]])


def _open_quote(_chance: random.Random) -> Damage:
    return lambda fields: b",".join([fields[_HOUSEHOLD], b'"' + fields[_STORE], *fields[_BASKET:]])


BROKEN_KINDS: dict[str, Callable[[random.Random], Damage]] = {
    "too few columns": _cut,
    "too many columns": _decimal_comma,
    "open quote": _open_quote,
    "missing household": _with(_HOUSEHOLD, b""),
    "missing basket": _with(_BASKET, b""),
    "missing product": _with(_PRODUCT, b""),
    "quantity is no number": _with(_QUANTITY, b"two", b"1x", b""),
    "money is no number": _with(_SALES, b"1O.50", b"N/A", b"#REF!"),
    "money is negative": _with(_SALES, b"-3.00", b"-0.01"),
    "impossible time": _with(_TIME, b"2017-02-30 12:00:00", b"2017-13-01 08:15:00", b"2017-06-10 25:61:00"),
    "time in another form": _with(_TIME, b"13/02/2017", b"yesterday", b"0000-00-00 00:00:00"),
    "invalid UTF-8": _with(_SALES, b"\xa32.00", b"1.00\xff"),  # a pound sign of Latin-1; a stray byte
}


def plant(files: Sequence[Path], *, seed: int) -> list[Planted]:
    """Add the lines to the files; Out: every added line, by file and line."""
    contents = [path.read_bytes().splitlines(keepends=True) for path in files]
    chance = random.Random(f"{seed}/planting")  # noqa: S311 - a seeded choice must not be random
    # Only files with real lines: an empty month of a tiny sample gives nothing to copy.
    filled = [index for index, lines in enumerate(contents) if len(lines) > 1]
    insertions = [*_broken(chance, contents, filled), *_copies(chance, contents, filled)] if filled else []
    planted: list[Planted] = []
    for index, path in enumerate(files):
        wanted = sorted((item for item in insertions if item.file == index), key=lambda item: item.before)
        planted += _write(path, contents[index], wanted)
    return planted


def _broken(chance: random.Random, contents: Sequence[list[bytes]], filled: Sequence[int]) -> Iterable[_Insertion]:
    basket = _FIRST_PLANTED_BASKET
    for kind, choose in BROKEN_KINDS.items():
        for _ in range(BROKEN_OF_EACH_KIND):
            basket += 1
            file = chance.choice(filled)
            fields = _any_line(chance, contents[file]).rstrip(b"\n").split(b",")
            fields[_BASKET] = str(basket).encode()
            line = choose(chance)(fields) + b"\n"
            yield _Insertion(file, _any_index(chance, contents[file]), line, kind, "quarantined")


def _copies(chance: random.Random, contents: Sequence[list[bytes]], filled: Sequence[int]) -> Iterable[_Insertion]:
    for _ in range(SAME_FILE_COPIES):
        file = chance.choice(filled)
        line = _any_line(chance, contents[file])
        yield _Insertion(file, _any_index(chance, contents[file]), line, "same file", "duplicate")
    for _ in range(OTHER_MONTH_COPIES if len(filled) > 1 else 0):
        source, file = chance.sample(filled, 2)
        line = _any_line(chance, contents[source])
        yield _Insertion(file, _any_index(chance, contents[file]), line, "other month", "duplicate")


def _any_line(chance: random.Random, lines: Sequence[bytes]) -> bytes:
    return lines[chance.randrange(1, len(lines))]


def _any_index(chance: random.Random, lines: Sequence[bytes]) -> int:
    return chance.randrange(1, len(lines) + 1)


def _write(path: Path, lines: Sequence[bytes], insertions: Sequence[_Insertion]) -> list[Planted]:
    planted = []
    done = byte = 0
    with path.open("wb") as file:
        for ordinal, item in enumerate(insertions):
            byte += file.write(b"".join(lines[done : item.before]))
            done = item.before
            planted.append(Planted(path.name, item.before + ordinal + 1, byte, item.kind, item.place))
            byte += file.write(item.content)
        file.write(b"".join(lines[done:]))
    return planted
