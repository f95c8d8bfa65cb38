"""Parquet: columns with types, read where no rule changes them as they are; a record's place is its row in the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.conversions import UNREADABLE
from migration.mapping import Mapping, sources_of
from migration.sources.columnar import check_names, column, ddl_of, fields_of, raw_of, readable, struct_of, whole_file
from migration.sources.contents import content_of
from migration.sources.folders import Folder
from migration.sources.formats import Looked
from migration.sources.lines import as_written

_SPARK_WROTE = b"org.apache.spark.version"
OLD_TIME = f"{UNREADABLE}INT96 (nanoseconds)"
_PHYSICAL = {
    "BOOLEAN": "boolean",
    "INT32": "int",
    "INT64": "bigint",
    "FLOAT": "float",
    "DOUBLE": "double",
    "BYTE_ARRAY": "binary",
    "FIXED_LEN_BYTE_ARRAY": "binary",
}
_LOGICAL = {"String": "string", "Enum": "string", "JSON": "string", "BSON": "binary", "Date": "date", "Null": "int"}
# As Spark reads them: unsigned numbers in the next type that holds them all.
_INTEGERS = {
    (8, True): "tinyint",
    (16, True): "smallint",
    (32, True): "int",
    (64, True): "bigint",
    (8, False): "smallint",
    (16, False): "int",
    (32, False): "bigint",
    (64, False): "decimal(20,0)",
}
Counts = npt.NDArray[np.int64]


class Parquet:
    """Parquet files of any compression that Spark knows."""

    def look(self, folder: Folder, name: str, mapping: Mapping) -> Looked:
        """Names, types and number of records from the footer; hash from one pass over the bytes."""
        with folder.open_file(name) as opened, whole_file("Parquet"):
            file = pq.ParquetFile(opened)
            header, records = tuple(file.schema_arrow.names), file.metadata.num_rows
            check_names(header)
            types = _types(file)
            whole = _whole_microseconds(
                opened, [n for n, t in zip(header, types, strict=True) if t == OLD_TIME], mapping
            )
        types = ["timestamp" if name in whole else kind for name, kind in zip(header, types, strict=True)]
        return Looked(header, records, content_of(folder, name), tuple(types))

    def read(self, session: SparkSession, paths: Sequence[str], layout: Layout, mapping: Mapping) -> DataFrame:  # noqa: ARG002 - types need no mapping
        """Every record; `line` is its row in the file, from 1, however the file is cut."""
        rows = session.read.schema(ddl_of(readable(layout))).parquet(*as_written(paths))
        place = rows.metadataColumn("_metadata")
        return rows.select(
            place.getField("file_path").alias("file"),
            F.lit(0).cast("bigint").alias("block_start"),
            (place.getField("row_index") + F.lit(1)).alias("line"),
            raw_of(layout).alias("raw"),
            fields_of(layout, {name: column(name) for name, _ in readable(layout)}).alias("fields"),
            F.lit(None).cast("string").alias("reason"),
        )


def _types(file: pq.ParquetFile) -> list[str]:
    """Spark's types of the columns: their shape is pyarrow's, what its leaves hold says the file's own schema."""
    leaves = (file.schema.column(number) for number in range(len(file.schema)))
    return [_type(field.type, leaves, old_time=_old_time(file.metadata)) for field in file.schema_arrow]


def _old_time(footer: pq.FileMetaData) -> str:
    """The type of INT96, of which no footer says whether it is an instant, or has digits that Spark would cut."""
    if (footer.created_by or "").startswith("impala"):
        return f"{UNREADABLE}INT96 of Impala (a time in a zone of its own)"
    return "timestamp" if _SPARK_WROTE in (footer.metadata or {}) else OLD_TIME


def _type(kind: pa.DataType, leaves: Iterator[pq.ColumnSchema], *, old_time: str) -> str:
    if isinstance(kind, pa.BaseExtensionType):
        return _type(kind.storage_type, leaves, old_time=old_time)
    if pa.types.is_struct(kind):
        return struct_of([(member.name, _type(member.type, leaves, old_time=old_time)) for member in kind])
    if pa.types.is_map(kind):
        key, value = (_type(part, leaves, old_time=old_time) for part in (kind.key_type, kind.item_type))
        return f"map<{key},{value}>"
    if pa.types.is_nested(kind):
        return f"array<{_type(kind.value_type, leaves, old_time=old_time)}>"
    leaf = next(leaves)
    return old_time if leaf.physical_type == "INT96" else _leaf_type(leaf)


def _leaf_type(leaf: pq.ColumnSchema) -> str:
    logical = json.loads(leaf.logical_type.to_json())
    match logical["Type"]:
        case "None":
            return _PHYSICAL[leaf.physical_type]
        case "Int":
            return _INTEGERS[logical["bitWidth"], logical["isSigned"]]
        case "Decimal" if leaf.precision <= 38:
            return f"decimal({leaf.precision},{leaf.scale})"
        case "Timestamp" if logical["timeUnit"] != "nanoseconds":
            return "timestamp" if logical["isAdjustedToUTC"] else "timestamp_ntz"
        case "Timestamp":
            return f"{UNREADABLE}TIMESTAMP(NANOS)"
        case other:
            return _LOGICAL.get(other, f"{UNREADABLE}{other.upper()}")


def _whole_microseconds(opened: BinaryIO, columns: Sequence[str], mapping: Mapping) -> set[str]:
    """The columns of INT96 in which no value has a part of a microsecond.

    Where a rule wants one, it is read, a batch at a time.
    """
    wanted = frozenset[str]().union(*(sources_of(rule) for rule in mapping.rules))
    return {name for name in columns if name in wanted and all(_is_whole(*pair) for pair in _both(opened, name))}


def _both(opened: BinaryIO, name: str) -> Iterator[tuple[Counts, Counts]]:
    """The batches of a column of INT96 in nanoseconds and in microseconds since 1970."""
    files = [pq.ParquetFile(opened, coerce_int96_timestamp_unit=unit) for unit in ("ns", "us")]
    for pair in zip(*(file.iter_batches(columns=[name]) for file in files), strict=True):
        nanos, micros = (batch.column(0).drop_null().view(pa.int64()).to_numpy() for batch in pair)
        yield nanos, micros


def _is_whole(nanos: Counts, micros: Counts) -> bool:
    # Both wrap in the same way beyond the year 2262.
    return bool(np.all(nanos == micros * 1000))
