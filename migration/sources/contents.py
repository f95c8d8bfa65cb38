"""The bytes of a file, from the first to the last, once: their hash and whatever else a format counts meanwhile."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

from migration.sources.folders import Folder

FIRST_LINE_BYTES = 1024 * 1024


class Consumer(Protocol):
    """Something that wants to see every block of a file."""

    def take(self, block: bytes) -> None:
        """The next block."""


@dataclass(slots=True)
class LineCount:
    """The first line (up to FIRST_LINE_BYTES) and the number of lines; a last one without an end counts as well."""

    first: bytes = b""
    ends: int = 0
    last: bytes = b"\n"

    def take(self, block: bytes) -> None:
        """The next block."""
        if self.ends == 0 and len(self.first) < FIRST_LINE_BYTES:
            self.first += block[: FIRST_LINE_BYTES - len(self.first)].partition(b"\n")[0]
        self.ends += block.count(b"\n")
        self.last = block[-1:]

    @property
    def count(self) -> int:
        """How many lines there were."""
        return self.ends + (self.last != b"\n")


def content_of(folder: Folder, name: str, *consumers: Consumer) -> str:
    """SHA-256 of a file, as hexadecimal digits; every consumer sees every block."""
    digest = hashlib.sha256()
    for block in folder.blocks(name):
        digest.update(block)
        for consumer in consumers:
            consumer.take(block)
    return digest.hexdigest()
