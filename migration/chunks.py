"""A chunk of a plan is a value with legal moves between states; only the ledger stores it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from spark_jobs.errors import TerminalError
from spark_jobs.storage.fingerprints import Fingerprint

NAME_CHARACTERS = 60
HASH_DIGITS = 12


class ChunkState(StrEnum):
    """Where a chunk stands."""

    PLANNED = "planned"
    COPYING = "copying"
    COPIED = "copied"
    VERIFIED = "verified"
    FAILED = "failed"


# COPYING may follow COPYING: the process that copied was killed. COPIED may follow any state, itself included: the
# target's log is the truth, and the ledger may be older. PLANNED may follow COPIED: the target was lost or restored.
NEXT_STATES: dict[ChunkState, frozenset[ChunkState]] = {
    ChunkState.PLANNED: frozenset({ChunkState.COPYING, ChunkState.COPIED}),
    ChunkState.COPYING: frozenset({ChunkState.COPYING, ChunkState.COPIED, ChunkState.FAILED}),
    ChunkState.COPIED: frozenset({ChunkState.COPIED, ChunkState.VERIFIED, ChunkState.FAILED, ChunkState.PLANNED}),
    ChunkState.VERIFIED: frozenset({ChunkState.VERIFIED, ChunkState.FAILED, ChunkState.COPIED, ChunkState.PLANNED}),
    ChunkState.FAILED: frozenset({ChunkState.COPYING, ChunkState.COPIED, ChunkState.FAILED}),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a source object in its own order, and their types: none where every field is text."""

    header: tuple[str, ...]
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Where the records of a chunk went, and the fingerprint of the good ones."""

    read: int
    quarantined: int
    duplicate: int
    good: Fingerprint

    @property
    def is_conserved(self) -> bool:
        """True where every record read has exactly one place."""
        return self.read == self.good.rows + self.quarantined + self.duplicate


@dataclass(frozen=True, slots=True)
class Chunk:
    """One source object of one plan. `records` and `sha256` were taken when it was planned; `header` is its own.

    `types` are those of the header's columns, none where every field is text. `part` says which part of its object a
    chunk is, in the words of its source; '' for all of it. `written_by` is the version of the mapping that its rows in
    the target were written by.
    """

    plan_id: str
    chunk_id: str
    target: str
    source_object: str
    bytes: int
    mtime_ns: int
    sha256: str
    records: int
    header: tuple[str, ...]
    rule_version: str
    contract_hash: str
    types: tuple[str, ...] = ()
    part: str = ""
    written_by: str = ""
    state: ChunkState = ChunkState.PLANNED
    counts: Counts | None = None
    message: str = ""

    @property
    def origin(self) -> str:
        """What stands in `origin` of every row of the chunk, and names its transaction in the target's log."""
        return f"migration/{self.chunk_id}"

    @property
    def layout(self) -> Layout:
        """What chunks must have in common to be read in one pass."""
        return Layout(self.header, self.types)

    def moved_to(self, state: ChunkState, *, counts: Counts | None = None, message: str = "") -> Self:
        """The chunk in another state; TerminalError where that move is not legal."""
        if state not in NEXT_STATES[self.state]:
            raise TerminalError(f"chunk {self.chunk_id}: {self.state} cannot become {state}; run `migration status`")
        if state is ChunkState.PLANNED:  # nothing of it stands in the target any more
            return replace(self, state=state, counts=None, message=message, written_by="")
        is_written = state is ChunkState.COPIED and counts is not None
        written_by = self.rule_version if is_written else self.written_by
        return replace(self, state=state, counts=counts or self.counts, message=message, written_by=written_by)


def chunk_id_of(target: str, source_object: str, sha256: str) -> str:
    """`TABLE/FILE-HASH`: the same object and content get the same id in every plan, so nothing is copied twice.

    The file's name comes first: of two rows with one key the one in the file that sorts first stays.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", source_object.rsplit("/", 1)[-1])[:NAME_CHARACTERS]
    digest = hashlib.sha256(f"{source_object}\0{sha256}".encode()).hexdigest()
    return f"{target}/{name}-{digest[:HASH_DIGITS]}"
