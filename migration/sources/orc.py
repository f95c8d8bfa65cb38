"""ORC: columns with types; a record's place is its index among those of the stripes that begin in its block.

A time in ORC has no zone, and Java reads it as one of its own. It is read as text, which says what stands in the file,
whatever the zone, with all its decimals; the mapping says which zone is meant.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.orc
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.mapping import Mapping
from migration.sources.columnar import (
    check_names,
    column,
    ddl_of,
    fields_of,
    raw_of,
    readable,
    struct_of,
    whole_file,
)
from migration.sources.contents import content_of
from migration.sources.folders import Folder
from migration.sources.formats import Looked, UnreadableError
from migration.sources.lines import as_written, line_in_block

LOCAL = "timestamp_ntz"
# Files before ORC 1.7, and those of C++ writers, do not say by which calendar they count days before this one.
GREGORIAN = "1582-10-15"
_MICROSECONDS = len("2017-01-31 12:00:00.123456")
_TYPES = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.binary(): "binary",
    pa.date32(): "date",
    pa.timestamp("ns"): "string",  # inside of lists and structs
}


class Orc:
    """ORC files of any compression."""

    def look(self, folder: Folder, name: str, mapping: Mapping) -> Looked:  # noqa: ARG002 - the footer says it all
        """Names, types and number of records from the footer; hash from one pass over the bytes."""
        with folder.open_file(name) as opened, whole_file("ORC"):
            file = pa.orc.ORCFile(opened)
            header, records = tuple(file.schema.names), file.nrows
        check_names(header)
        types = tuple(LOCAL if one.type == pa.timestamp("ns") else _type(one.type, one.name) for one in file.schema)
        return Looked(header, records, content_of(folder, name), types)

    def read(self, session: SparkSession, paths: Sequence[str], layout: Layout, mapping: Mapping) -> DataFrame:
        """Every record; a block is 128 MB of the file, as of lines."""
        as_text = [(name, "string" if kind == LOCAL else kind) for name, kind in readable(layout)]
        rows = session.read.schema(ddl_of(as_text)).orc(as_written(paths))
        place = rows.metadataColumn("_metadata")
        values = {name: column(name).cast(kind) for name, kind in readable(layout)}
        return rows.select(
            place.getField("file_path").alias("file"),
            place.getField("file_block_start").alias("block_start"),
            line_in_block().alias("line"),
            raw_of(layout).alias("raw"),
            fields_of(layout, values).alias("fields"),
            F.coalesce(F.lit(None).cast("string"), *_reasons(layout, mapping)).alias("reason"),
        )


def _type(kind: pa.DataType, name: str) -> str:
    if pa.types.is_struct(kind):
        return struct_of([(member.name, _type(member.type, name)) for member in kind])
    if pa.types.is_map(kind):
        return f"map<{_type(kind.key_type, name)},{_type(kind.item_type, name)}>"
    if pa.types.is_list(kind):
        return f"array<{_type(kind.value_type, name)}>"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if kind not in _TYPES:
        raise UnreadableError(
            f"column {name!r} is {kind}, and Spark reads no ORC file that has such a one; export it without, or as text"
        )
    return _TYPES[kind]


def _reasons(layout: Layout, mapping: Mapping) -> list[Column]:
    """Why days and times that a rule wants are not what the file says once Spark has read them."""
    reasons = []
    for name, kind in readable(layout):
        if name in mapping.ignored or kind not in (LOCAL, "date"):
            continue
        if kind == LOCAL:
            reasons.append(F.when(F.length(column(name)) > _MICROSECONDS, f"{name}: more than 6 decimals"))
        # As texts, times are in their order as well.
        is_old = column(name) < F.lit(GREGORIAN).cast("string" if kind == LOCAL else kind)
        reasons.append(F.when(is_old, f"{name}: before {GREGORIAN}, by an unknown calendar"))
    return reasons
