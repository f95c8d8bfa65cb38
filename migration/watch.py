"""What a copy tells whoever watches it."""

from __future__ import annotations

from typing import Protocol

from migration.chunks import Chunk
from migration.pace import Wait


class Watch(Protocol):
    """Somebody who watches a copy; called by the thread that starts the chunks, so it must return at once."""

    def began(self, chunk: Chunk) -> None:
        """A chunk began."""

    def ended(self, chunk: Chunk) -> None:
        """A chunk was copied, or failed."""

    def waits(self, wait: Wait | None) -> None:
        """A wait began; None: it is over."""


class _Nobody:
    """Nobody watches."""

    def began(self, chunk: Chunk) -> None:
        """Of no interest."""

    def ended(self, chunk: Chunk) -> None:
        """Of no interest."""

    def waits(self, wait: Wait | None) -> None:
        """Of no interest."""


UNWATCHED: Watch = _Nobody()
