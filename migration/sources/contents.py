"""The bytes of a file, from the first to the last, once: their hash and whatever else a format counts meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from migration.sources.compression import plain_blocks
from migration.sources.folders import Folder
from migration.sources.formats import UnreadableError

FIRST_LINE_BYTES = 1024 * 1024
# A line that is too long for a record is refused by itself, but Spark has to hold it for that, and takes nearly eight
# times its bytes: two such lines at a time fit into the smallest driver (measured: 100 MB did not).
LONGEST_LINE_BYTES = 32 * 1024 * 1024


class Consumer(Protocol):
    """Something that wants to see every block of a file."""

    def take(self, block: bytes) -> None:
        """The next block."""


@dataclass(slots=True)
class LineCount:
    """The first line (up to FIRST_LINE_BYTES) and the number of lines; a last one without an end counts as well.

    `longest` is that of the lines which no single block holds: its bytes, and which line it is.
    """

    first: bytes = b""
    ends: int = 0
    longest: tuple[int, int] = (0, 0)
    last: bytes = b"\n"
    begun: int = 0

    def take(self, block: bytes) -> None:
        """The next block."""
        if self.ends == 0 and len(self.first) < FIRST_LINE_BYTES:
            self.first += block[: FIRST_LINE_BYTES - len(self.first)].partition(b"\n")[0]
        end = block.find(b"\n")
        self.longest = max(self.longest, (self.begun + (len(block) if end < 0 else end), self.ends + 1))
        self.ends += block.count(b"\n")
        self.last = block[-1:]
        self.begun = self.begun + len(block) if end < 0 else len(block) - block.rfind(b"\n") - 1

    @property
    def count(self) -> int:
        """How many lines there were."""
        return self.ends + (self.last != b"\n")


def content_of(folder: Folder, name: str, *consumers: Consumer) -> str:
    """SHA-256 of a file as it lies there, as hexadecimal digits; every consumer sees all of its content, decompressed.

    UnreadableError where it cannot be decompressed.
    """
    digest = hashlib.sha256()
    own = _digested(folder.blocks(name), digest)
    for block in plain_blocks(name, own) if consumers else own:
        for consumer in consumers:
            consumer.take(block)
    return digest.hexdigest()


def sha256_of(blocks: Iterator[bytes], goes_on: Callable[[], bool]) -> str:
    """SHA-256 of all bytes, as hexadecimal digits; '' where it does not go on to their end."""
    digest = hashlib.sha256()
    for block in blocks:
        if not goes_on():
            return ""
        digest.update(block)
    return digest.hexdigest()


def count_lines(folder: Folder, name: str) -> tuple[LineCount, str]:
    """The lines of a file of text and its SHA-256; UnreadableError where one is longer than LONGEST_LINE_BYTES."""
    lines = LineCount()
    sha256 = content_of(folder, name, lines)
    longest, line = lines.longest
    if longest > LONGEST_LINE_BYTES:
        raise UnreadableError(
            f"its line {line} has {longest} bytes, wanted at most {LONGEST_LINE_BYTES}; take it out, or bring each "
            "record on a line of its own"
        )
    return lines, sha256


def _digested(blocks: Iterator[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for block in blocks:
        digest.update(block)
        yield block
