"""Files in a folder: one file is one chunk, read by the format that its mapping names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as Keys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Chunk, Layout, chunk_id_of
from migration.conversions import type_problem
from migration.mapping import Mapping, header_problem
from migration.sources.arrival import LATEST, latest_at, latest_us, with_latest
from migration.sources.contents import sha256_of
from migration.sources.csv_lines import CsvLines
from migration.sources.folders import Folder, Version, failure, matches, name_problem, of_a_file, readable_name
from migration.sources.formats import Format, Looked, UnreadableError
from migration.sources.ga4 import GA4
from migration.sources.json_lines import JsonLines
from migration.sources.orc import Orc
from migration.sources.parquet import Parquet
from migration.sources.partitions import own_layout, with_columns, with_values
from migration.sources.source import RECORD, Known, Planned, Refused, Unnamed, nothing_planned
from spark_jobs.errors import PlatformError, RetryableError, TerminalError

READERS = 4
AT_A_TIME = 1_000
SHOWN_DIGITS = 12
FORMATS: Keys[str, Format] = {
    "csv": CsvLines(),
    "jsonl": JsonLines(),
    "ga4": GA4,
    "parquet": Parquet(),
    "orc": Orc(),
}
_WRONG = "check `source` or --source, and what is mounted there"


@dataclass(frozen=True, slots=True)
class Files:
    """A folder of files as a source."""

    folder: Folder

    @property
    def address(self) -> str:
        """The folder's."""
        return self.folder.address

    def look(
        self, mappings: Sequence[Mapping], known: Known, planned: Planned = nothing_planned
    ) -> Iterator[Chunk | Refused | Unnamed]:
        """Every file that a mapping names, READERS of them at a time; a file has no parts that could be known.

        One that was planned with the size and time that it has now is not read again.
        """
        del known
        names = self._names()
        with ThreadPoolExecutor(READERS) as readers:
            for mapping in mappings:
                named = [name for name in names if matches(name, mapping.files)]
                if not named:
                    yield Refused(mapping.files, "no file has such a name")
                problems = {name: name_problem(name) for name in named}
                yield from (Refused(readable_name(name), problem) for name, problem in problems.items() if problem)
                named = [name for name in named if not problems[name]]
                for begin in range(0, len(named), AT_A_TIME):
                    page = named[begin : begin + AT_A_TIME]
                    yield from readers.map(
                        self._look_at, page, repeat(mapping), repeat(planned(self.address, mapping, page))
                    )
        patterns = [mapping.files for mapping in mappings]
        left = (name for name in names if not any(matches(name, pattern) for pattern in patterns))
        yield from (Unnamed(readable_name(name)) for name in left)

    def _names(self) -> list[str]:
        try:
            if self.folder.is_there():
                return self.folder.names()
        except OSError as error:
            raise failure(f"source {error.filename or self.address}", error, _WRONG) from error
        raise TerminalError(f"source {self.address} is no folder that can be read, or has nothing in it; {_WRONG}")

    def _look_at(self, name: str, mapping: Mapping, planned: Keys[tuple[str, int, int], Chunk]) -> Chunk | Refused:
        try:
            before = self.folder.version(name)
            if same := planned.get((name, before.bytes, before.mtime_ns)):
                found = Looked(same.header, same.records, same.sha256, same.types)
            else:
                found = with_columns(FORMATS[mapping.format].look(self.folder, name, mapping), name, mapping)
            after = self.folder.version(name)
        except OSError as error:
            if not of_a_file(error):
                raise failure(f"{self.address}/{name}", error, "") from error
            return Refused(name, f"cannot be read: {error.strerror}")
        except UnreadableError as error:
            return Refused(name, str(error))
        reason = header_problem(found.header, mapping) or type_problem(Layout(found.header, found.types), mapping)
        if before != after:
            reason = "it changed while it was read; plan again when it is complete"
        return Refused(name, reason) if reason else _chunk(name, before, found, mapping)

    def check_unchanged(self, chunk: Chunk) -> None:
        """Raise TerminalError where the chunk's file is no longer the one that was planned."""
        path = self._path(chunk)
        try:
            found = self.folder.version(chunk.source_object)
        except OSError as error:
            raise self._failure(path, error) from error
        if found != Version(chunk.bytes, chunk.mtime_ns):
            raise TerminalError(
                f"{path} changed after it was planned: {found.bytes} bytes of {_moment(found.mtime_ns)}, planned "
                f"{chunk.bytes} bytes of {_moment(chunk.mtime_ns)}; put that file back, or run `migration plan` again"
            )

    def content_problem(self, chunk: Chunk, goes_on: Callable[[], bool]) -> str:
        """As `Source.content_problem` says."""
        path = self._path(chunk)
        try:
            found = sha256_of(self.folder.blocks(chunk.source_object), goes_on)
        except OSError as error:
            raise self._failure(path, error) from error
        if found in (chunk.sha256, ""):
            return ""
        return (
            f"{path} has SHA-256 {found[:SHOWN_DIGITS]}..., planned {chunk.sha256[:SHOWN_DIGITS]}...: its content "
            "changed, its size and time did not; put the planned file back"
        )

    def _path(self, chunk: Chunk) -> str:
        return f"{self.address}/{chunk.source_object}"

    def _failure(self, path: str, error: OSError) -> PlatformError:
        """What it means that a planned file cannot be read; where its folder is gone, the others are gone, too."""
        try:
            is_gone = isinstance(error, FileNotFoundError) and not self.folder.is_there()
        except OSError as further:
            return failure(f"source {self.address}", further, _WRONG)
        if is_gone:
            return RetryableError(f"source {self.address} is gone; mount it again, then start the same verb again")
        return failure(path, error, "put the planned file back")

    def records(self, session: SparkSession, mapping: Mapping, chunks: Sequence[Chunk]) -> DataFrame:
        """As `Source.records` says; the chunks' files are read together."""
        paths = [self._path(chunk) for chunk in chunks]
        layout = chunks[0].layout
        records = FORMATS[mapping.format].read(session, paths, own_layout(layout, mapping), mapping)
        if len(chunks) == 1:
            records = with_latest(records.withColumn("origin", F.lit(chunks[0].origin)), chunks)
        else:
            files = [(self.folder.uri(chunk.source_object), chunk.origin, latest_us(chunk)) for chunk in chunks]
            origins = session.createDataFrame(files, "file string, origin string, us bigint")
            # One origin a file. Broadcast, because clear records must not be shuffled.
            joined = records.join(F.broadcast(origins), on="file", how="inner")
            records = joined.withColumn(LATEST, latest_at(F.col("us")))
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
