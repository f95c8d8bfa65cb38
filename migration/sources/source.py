"""What planning, copying and verification ask of a source, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from pyspark.sql import DataFrame, SparkSession

from migration.chunks import Chunk
from migration.mapping import Mapping

# What `Source.records` gives, beside `fields`: the record's place and bytes, and why it is refused already.
RECORD = ("origin", "block_start", "line", "raw", "reason")


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


class Source(Protocol):
    """An old system's data as they are now."""

    @property
    def address(self) -> str:
        """What a plan remembers of it, without passwords; `open_source` opens it again."""

    def look(self, mappings: Sequence[Mapping], known: Known) -> Iterator[Chunk | Refused | Unnamed]:
        """Everything that is there, looked at once; chunks without their plan's id."""

    def check_unchanged(self, chunk: Chunk) -> None:
        """Raise TerminalError where the chunk's object is no longer the one that was planned."""

    def records(self, session: SparkSession, mapping: Mapping, chunks: Sequence[Chunk]) -> DataFrame:
        """The records of chunks that have one layout (`Chunk.layout`), in one pass and without a shuffle.

        Out: RECORD, and `fields`, a struct with one member `f0`, `f1`... a column of the header, in the source's types;
        null where `reason` says why the record cannot be read. `block_start` and `line` are the same in every run, and
        unique in a chunk. In: a session of `reading_session`.
        """
