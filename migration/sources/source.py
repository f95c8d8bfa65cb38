"""What planning, copying and verification ask of a source, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Keys
from dataclasses import dataclass
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from migration.chunks import Chunk
from migration.mapping import Mapping
from migration.sources.arrival import LATEST

# What `Source.records` gives, beside `fields`: the record's place and bytes, why it is refused already, and the last
# moment of which it can tell.
RECORD = ("origin", "block_start", "line", "raw", "reason", LATEST)


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that a plan does not take, and why."""

    source_object: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unnamed:
    """Something in the source that no mapping names."""

    source_object: str


# The parts of an object that a plan took into a mapping's table before, by id: what is there is not cut anew.
Known = Callable[[Mapping, str], Iterator[Chunk]]
# What a mapping planned objects of these names at this address as, by name, bytes and time.
Planned = Callable[[str, Mapping, Sequence[str]], Keys[tuple[str, int, int], Chunk]]


def nothing_planned(_address: str, _mapping: Mapping, _names: Sequence[str]) -> Keys[tuple[str, int, int], Chunk]:
    """Nothing was planned before, or nobody wants to know."""
    return {}


class Source(Protocol):
    """An old system's data as they are now."""

    @property
    def address(self) -> str:
        """What a plan remembers of it, without passwords; `open_source` opens it again."""

    def look(
        self, mappings: Sequence[Mapping], known: Known, planned: Planned = nothing_planned
    ) -> Iterator[Chunk | Refused | Unnamed]:
        """Everything that is there, looked at once; chunks without their plan's id."""

    def check_unchanged(self, chunk: Chunk) -> None:
        """Raise TerminalError where the chunk's object is no longer the one that was planned.

        RetryableError where the source does not answer.
        """

    def content_problem(self, chunk: Chunk, goes_on: Callable[[], bool]) -> str:
        """Why the object is not the planned one, byte for byte; '' where it is, or has no bytes that could be compared.

        It gives up with '' where it does not go on.
        """

    def records(self, session: SparkSession, mapping: Mapping, chunks: Sequence[Chunk]) -> DataFrame:
        """The records of chunks that have one layout (`Chunk.layout`), in one pass and without a shuffle.

        Out: RECORD, and `fields`, a struct with one member `f0`, `f1`... a column of the header, in the source's types;
        null where `reason` says why the record cannot be read. `block_start` and `line` are the same in every run, and
        unique in a chunk. In: a session of `reading_session`.
        """
