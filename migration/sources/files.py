"""Files in a folder: one file is one chunk, read by the format that its mapping names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as Keys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Chunk, Layout, chunk_id_of
from migration.conversions import type_problem
from migration.mapping import Mapping, header_problem
from migration.sources.csv_lines import CsvLines
from migration.sources.folders import Folder, Version, matches
from migration.sources.formats import Format, Looked, UnreadableError
from migration.sources.ga4 import GA4
from migration.sources.json_lines import JsonLines
from migration.sources.orc import Orc
from migration.sources.parquet import Parquet
from migration.sources.partitions import own_layout, with_columns, with_values
from migration.sources.source import RECORD, Known, Refused, Unnamed
from spark_jobs.errors import TerminalError

READERS = 4
AT_A_TIME = 1_000
FORMATS: Keys[str, Format] = {
    "csv": CsvLines(),
    "jsonl": JsonLines(),
    "ga4": GA4,
    "parquet": Parquet(),
    "orc": Orc(),
}


@dataclass(frozen=True, slots=True)
class Files:
    """A folder of files as a source."""

    folder: Folder

    @property
    def address(self) -> str:
        """The folder's."""
        return self.folder.address

    def look(self, mappings: Sequence[Mapping], known: Known) -> Iterator[Chunk | Refused | Unnamed]:
        """Every file that a mapping names, READERS of them at a time; a file has no parts that could be known."""
        del known
        names = self.folder.names()
        with ThreadPoolExecutor(READERS) as readers:
            for mapping in mappings:
                named = [name for name in names if matches(name, mapping.files)]
                if not named:
                    yield Refused(mapping.files, "no file has such a name")
                for begin in range(0, len(named), AT_A_TIME):
                    page = named[begin : begin + AT_A_TIME]
                    yield from readers.map(self._look_at, page, [mapping] * len(page))
        patterns = [mapping.files for mapping in mappings]
        yield from (Unnamed(name) for name in names if not any(matches(name, pattern) for pattern in patterns))

    def _look_at(self, name: str, mapping: Mapping) -> Chunk | Refused:
        try:
            before = self.folder.version(name)
            found = with_columns(FORMATS[mapping.format].look(self.folder, name, mapping), name, mapping)
            after = self.folder.version(name)
        except OSError as error:
            return Refused(name, f"cannot be read: {error.strerror}")
        except UnreadableError as error:
            return Refused(name, str(error))
        reason = header_problem(found.header, mapping) or type_problem(Layout(found.header, found.types), mapping)
        if before != after:
            reason = "it changed while it was read; plan again when it is complete"
        return Refused(name, reason) if reason else _chunk(name, before, found, mapping)

    def check_unchanged(self, chunk: Chunk) -> None:
        """Raise TerminalError where the chunk's file is no longer the one that was planned."""
        path = f"{self.folder.address}/{chunk.source_object}"
        try:
            found = self.folder.version(chunk.source_object)
        except OSError as error:
            raise TerminalError(f"{path} cannot be read: {error.strerror}; put the planned file back") from error
        if found != Version(chunk.bytes, chunk.mtime_ns):
            raise TerminalError(
                f"{path} changed after it was planned: {found.bytes} bytes of {_moment(found.mtime_ns)}, planned "
                f"{chunk.bytes} bytes of {_moment(chunk.mtime_ns)}; put that file back, or run `migration plan` again"
            )

    def records(self, session: SparkSession, mapping: Mapping, chunks: Sequence[Chunk]) -> DataFrame:
        """As `Source.records` says; the chunks' files are read together."""
        paths = [f"{self.folder.address}/{chunk.source_object}" for chunk in chunks]
        layout = chunks[0].layout
        records = FORMATS[mapping.format].read(session, paths, own_layout(layout, mapping), mapping)
        if len(chunks) == 1:
            records = records.withColumn("origin", F.lit(chunks[0].origin))
        else:
            files = [(self.folder.uri(chunk.source_object), chunk.origin) for chunk in chunks]
            origins = session.createDataFrame(files, "file string, origin string")
            # One origin a file. Broadcast, because clear records must not be shuffled.
            records = records.join(F.broadcast(origins), on="file", how="inner")
        return with_values(records, mapping, chunks).select(*RECORD, "fields")


def _chunk(name: str, version: Version, found: Looked, mapping: Mapping) -> Chunk:
    return Chunk(
        plan_id="",
        chunk_id=chunk_id_of(mapping.table.name, name, found.sha256),
        target=mapping.table.name,
        source_object=name,
        bytes=version.bytes,
        mtime_ns=version.mtime_ns,
        sha256=found.sha256,
        records=found.records,
        header=found.header,
        types=found.types,
        rule_version=mapping.version,
        contract_hash=mapping.table.contract_hash,
    )


def _moment(mtime_ns: int) -> str:
    return datetime.fromtimestamp(mtime_ns / 1e9, UTC).isoformat(timespec="milliseconds")
