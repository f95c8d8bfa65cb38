"""What a format of files has to know: how a file is looked at for a plan, and how Spark reads its records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pyspark.sql import DataFrame, SparkSession

from migration.chunks import Layout
from migration.mapping import Mapping
from migration.sources.folders import Folder


@dataclass(frozen=True, slots=True)
class Looked:
    """What a file was found to hold; `types` are Spark's, one a column, or none where every field is text."""

    header: tuple[str, ...]
    records: int
    sha256: str
    types: tuple[str, ...] = ()


class UnreadableError(Exception):
    """A file is not what its format wants; the text says what was found."""


class Format(Protocol):
    """One format of files."""

    def look(self, folder: Folder, name: str, mapping: Mapping) -> Looked:
        """Look at a file once, from its first byte to its last; UnreadableError or OSError where it cannot be done."""

    def read(self, session: SparkSession, paths: Sequence[str], layout: Layout, mapping: Mapping) -> DataFrame:
        """The records of files with this layout: file (Spark's URI), block_start, line, raw, fields, reason.

        They mean what `Source.records` says, and no shuffle is needed for them.
        """


@runtime_checkable
class KeptFormat(Protocol):
    """A format whose records can be read once more from the bytes that quarantine keeps of them."""

    def parse(self, records: DataFrame, header: Sequence[str], mapping: Mapping) -> DataFrame:
        """What `Format.read` gives, without the files.

        In:  file, block_start, line, and `raw` as `read` gave it. No shuffle is needed here either.
        """
