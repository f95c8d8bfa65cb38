"""CSV, a line at a time: fields by the file's own header, whatever its order.

A record is a line: a quoted line break leaves a quote open, and the line is refused.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.mapping import Dialect, Mapping
from migration.sources.contents import LineCount, content_of
from migration.sources.folders import Folder
from migration.sources.formats import Looked, UnreadableError
from migration.sources.lines import MAX_LINE_BYTES, read_lines

# An unquoted empty field is null, a quoted one is ''; no field holds this, because lines with NUL are refused before.
_NULL_MARK = "\0null"


class CsvLines:
    """CSV files with a header; `Dialect` says how they are written."""

    def look(self, folder: Folder, name: str, mapping: Mapping) -> Looked:
        """Header, hash and number of records (lines but the first), in one pass over the bytes."""
        lines = LineCount()
        sha256 = content_of(folder, name, lines)
        try:
            header = _header(lines.first, mapping.dialect)
        except (UnicodeDecodeError, csv.Error) as error:
            found = type(error).__name__
            raise UnreadableError(f"its first line is no header in {mapping.dialect.encoding}: {found}") from error
        return Looked(header=tuple(header), records=lines.count - 1, sha256=sha256)

    def read(self, session: SparkSession, paths: Sequence[str], layout: Layout, mapping: Mapping) -> DataFrame:
        """Every line but the header."""
        is_header = (F.col("block_start") == 0) & (F.col("line") == 1)
        return split_fields(read_lines(session, paths).where(~is_header), layout.header, mapping.dialect)

    def parse(self, records: DataFrame, header: Sequence[str], mapping: Mapping) -> DataFrame:
        """Kept lines once more, by what the mapping says of them now."""
        return split_fields(records.withColumn("value", F.col("raw").cast("string")), header, mapping.dialect)


def _header(first_line: bytes, dialect: Dialect) -> list[str]:
    text = first_line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n").decode(dialect.encoding)
    return next(csv.reader([text], delimiter=dialect.delimiter, quotechar=dialect.quote, strict=True), [])


def split_fields(lines: DataFrame, header: Sequence[str], dialect: Dialect) -> DataFrame:
    """`fields` (a text per header column; null where the line is broken), `reason` (null where it is whole), `raw`."""
    encoding, raw = dialect.encoding.upper(), F.col("value").cast("binary")
    is_utf8 = encoding == "UTF-8"
    text = F.col("value") if is_utf8 else F.decode(raw, encoding)
    decoded = lines.withColumn("text", F.regexp_replace(text, "\r$", ""))
    is_encoded = F.is_valid_utf8("value") if is_utf8 else F.encode(text, encoding) == raw
    quotes = F.length("text") - F.length(F.replace(F.col("text"), F.lit(dialect.quote), F.lit("")))
    options = {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "_broken",
        "sep": dialect.delimiter,
        "quote": dialect.quote,
        "escape": dialect.quote,  # a quote inside quotes is doubled; Spark's own default is a backslash
        "nullValue": _NULL_MARK,
        "maxCharsPerColumn": "-1",
    }
    schema = ", ".join(f"`f{number}` string" for number in range(len(header))) + ", `_broken` string"
    reason = (
        F.when(F.octet_length("value") > MAX_LINE_BYTES, f"longer than {MAX_LINE_BYTES} bytes")
        .when(~is_encoded, f"not valid {encoding}")
        .when(F.length(F.trim("text")) == 0, "blank line")
        .when(F.contains("text", F.lit("\0")), "NUL byte")
        .when(quotes % 2 != 0, "open quote")
    )
    whole = decoded.withColumn("reason", reason)
    fields = whole.withColumn("fields", F.when(F.col("reason").isNull(), F.from_csv("text", schema, options)))
    counted = F.when(F.col("fields._broken").isNotNull(), F.lit(f"wanted {len(header)} columns"))
    why = F.coalesce("reason", counted).alias("reason")
    return fields.select("file", "block_start", "line", raw.alias("raw"), "fields", why)
