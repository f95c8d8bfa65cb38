"""Tables of a database: one range of a table's keys is one chunk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Chunk, Layout, chunk_id_of
from migration.conversions import type_problem
from migration.mapping import Mapping, SourceTable, header_problem
from migration.sources.arrival import LATEST, latest_at, latest_us
from migration.sources.database import Database, Snapshot
from migration.sources.dialect import TableFacts
from migration.sources.jdbc import TableRows, as_json, read_ranges, refusals, typed_fields
from migration.sources.ranges import Keys, Range, Split
from migration.sources.source import RECORD, Known, Planned, Refused, Unnamed, nothing_planned
from spark_jobs.errors import TerminalError

_NUMBER_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Counted:
    """A range, its number of rows, and when they were counted."""

    part: Range
    rows: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a database as a source."""

    database: Database

    @property
    def address(self) -> str:
        """The database's, which names no account."""
        return str(self.database.address)

    def look(
        self, mappings: Sequence[Mapping], known: Known, planned: Planned = nothing_planned
    ) -> Iterator[Chunk | Refused | Unnamed]:
        """Every table that a mapping names, all in one snapshot; ranges that are known stay as they are."""
        del planned
        tables = [(mapping, mapping.source_table) for mapping in mappings if mapping.source_table]
        with self.database.snapshot() as snapshot:
            for mapping, table in tables:
                yield from self._look_at(snapshot, mapping, table, known)
            schemas = sorted({table.schema for _, table in tables})
            named = {table.name for _, table in tables}
            found = self.database.dialect.table_names(snapshot, schemas)
            yield from (Unnamed(name) for name in found if name not in named)

    def _look_at(
        self, snapshot: Snapshot, mapping: Mapping, table: SourceTable, known: Known
    ) -> Iterator[Chunk | Refused]:
        facts = self._facts(snapshot, table)
        if facts is None:
            yield Refused(table.name, "there is no such table, or its account may not read it")
            return
        layout = Layout(facts.header, self._types(facts))
        problem = header_problem(facts.header, mapping) or type_problem(layout, mapping)
        problem = problem or self._key_problem(facts, table)
        if problem:
            yield Refused(table.name, problem)
            return
        keys = self._keys(snapshot, table, facts)
        found = 0
        for counted in _ranges(keys, table, known(mapping, self._object(table))):
            found += 1
            yield self._chunk(mapping, table, facts, counted)
        if not found:  # verification wants to meet every table
            yield self._chunk(mapping, table, facts, Counted(Range(keys.split), 0, time.time_ns()))

    def _object(self, table: SourceTable) -> str:
        """The table with its database: of the shards of one old system each has a table of this name."""
        return f"{self.address}/{table.name}"

    def _facts(self, snapshot: Snapshot, table: SourceTable) -> TableFacts | None:
        schema, _, name = table.name.partition(".")
        return self.database.dialect.facts(snapshot, schema, name)

    def _key_problem(self, facts: TableFacts, table: SourceTable) -> str:
        """Why the table cannot be cut by the column, or its rows be put into an order that is the same twice."""
        data_type = _type_of(facts, table.split_by)
        if not data_type:
            return f"split_by {table.split_by!r} is no column of it"
        if data_type not in self.database.dialect.key_types:
            wanted = ", ".join(sorted(self.database.dialect.key_types))
            return f"split_by {table.split_by!r} is {data_type}, wanted one of {wanted}"
        if table.split_by not in facts.indexed:
            return f"no index begins with split_by {table.split_by!r}: make one, or split by a column that has one"
        if not facts.unique_key:
            return (
                "its rows have no order that is the same twice: it has no primary key and no unique index over columns "
                "that are never null; add one, or export the table to files"
            )
        return ""

    def _keys(self, snapshot: Snapshot, table: SourceTable, facts: TableFacts) -> Keys:
        split = Split(table.split_by, table.where, facts.unique_key)
        return Keys(snapshot, self.database.dialect, self._quoted(table), split, _type_of(facts, table.split_by))

    def _quoted(self, table: SourceTable) -> str:
        return ".".join(self.database.dialect.quoted(part) for part in table.name.split("."))

    def _chunk(self, mapping: Mapping, table: SourceTable, facts: TableFacts, found: Counted) -> Chunk:
        part = found.part
        source_object = self._object(table)
        sha256 = hashlib.sha256(f"{source_object}\0{part.part}".encode()).hexdigest()
        # The number comes first, so that ids sort as keys do: known ranges come in their order.
        name = f"{part.number:0{_NUMBER_DIGITS}d}.{table.name}"
        return Chunk(
            plan_id="",
            chunk_id=chunk_id_of(mapping.table.name, name, sha256),
            target=mapping.table.name,
            source_object=source_object,
            bytes=found.rows * facts.row_bytes,
            mtime_ns=found.at_ns,
            sha256=sha256,
            records=found.rows,
            header=facts.header,
            types=self._types(facts),
            part=part.part,
            rule_version=mapping.version,
            contract_hash=mapping.table.contract_hash,
        )

    def _types(self, facts: TableFacts) -> tuple[str, ...]:
        return tuple(self.database.dialect.wire(column).type for column in facts.columns)

    def check_unchanged(self, chunk: Chunk) -> None:
        """A range has no version that could be compared without reading it.

        `records` compares the table's columns with the plan; copying compares the number of rows that were read, and
        verification reads all of them again.
        """

    def content_problem(self, chunk: Chunk, goes_on: Callable[[], bool]) -> str:
        """Rows have no bytes of their own; verification compares what they say."""
        del chunk, goes_on
        return ""

    def records(self, session: SparkSession, mapping: Mapping, chunks: Sequence[Chunk]) -> DataFrame:
        """As `Source.records` says; a range is a partition, and `line` is the row's place in it."""
        assert mapping.source_table is not None
        table, ranges = mapping.source_table, [Range.parse(chunk.part) for chunk in chunks]
        with self.database.snapshot() as snapshot:
            facts = self._facts(snapshot, table)
        planned = (chunks[0].header, chunks[0].types)
        if facts is None or (facts.header, self._types(facts)) != planned:
            raise TerminalError(
                f"table {table.name} of {self.address} is not the one that was planned: its columns or their types "
                "changed; run `migration plan` again"
            )
        wires = tuple(self.database.dialect.wire(column) for column in facts.columns)
        (split,) = {one.split for one in ranges}
        wanted = TableRows(self._quoted(table), split, _type_of(facts, split.split_by), wires)
        rows = read_ranges(session, self.database, wanted, ranges)
        used = mapping.source_columns - set(mapping.ignored)
        records = rows.select(
            "number",
            F.lit(0).cast("bigint").alias("block_start"),
            "line",
            as_json(facts.header).alias("raw"),
            F.struct(*typed_fields(wires)).alias("fields"),
            F.coalesce(*refusals(wires, facts.header, used), F.lit(None).cast("string")).alias("reason"),
        )
        placed = [(number, chunk.origin, latest_us(chunk)) for number, chunk in enumerate(chunks)]
        origins = session.createDataFrame(placed, "number bigint, origin string, us bigint")
        # One origin a range. Broadcast, because clear records must not be shuffled.
        joined = records.join(F.broadcast(origins), on="number", how="inner")
        return joined.withColumn(LATEST, latest_at(F.col("us"))).select(*RECORD, "fields")


def _ranges(keys: Keys, table: SourceTable, known: Iterator[Chunk]) -> Iterator[Counted]:
    """Known ranges of the same cut, counted again; then those that are behind them, and rows without a key.

    A range that has as many rows as before has the time of that count: no record of it may become another one.
    """
    last, has_null, now_ns = Range(keys.split), False, time.time_ns()
    for chunk in (chunk for chunk in known if chunk.part):
        part = Range.parse(chunk.part)
        if part.split == keys.split:
            count = keys.count(part)
            yield Counted(part, count, chunk.mtime_ns if count == chunk.records else now_ns)
            last, has_null = (last, True) if part.is_null else (part, has_null)
    without_key = replace(Range(keys.split), is_null=True)
    if not has_null and (count := keys.count(without_key)):
        yield Counted(without_key, count, now_ns)
    yield from (Counted(part, count, now_ns) for part, count in keys.cut(last, table.chunk_rows))


def _type_of(facts: TableFacts, name: str) -> str:
    return next((column.data_type for column in facts.columns if column.name == name), "")
