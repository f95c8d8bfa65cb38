"""CSV, a line at a time: fields by the file's own header or the mapping's, whatever their order.

A record is a line: a quoted line break leaves a quote open, an escaped one an escape, and the line is refused.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.chunks import Layout
from migration.mapping import Dialect, Mapping
from migration.sources.contents import count_lines
from migration.sources.folders import Folder
from migration.sources.formats import Looked, UnreadableError
from migration.sources.lines import kept_texts, read_texts

# Lines with NUL are refused before, so what begins with one is ours: an unquoted empty field for Spark's parser, and a
# field that holds one of the dialect's nulls.
_EMPTY = "\0empty"
_NULL = "\0"
_EVERY_EMPTY = ("",)


class CsvLines:
    """CSV files; `Dialect` says how they are written, and what their columns are where they do not say it."""

    def look(self, folder: Folder, name: str, mapping: Mapping) -> Looked:
        """Header, hash and number of records, in one pass over the bytes."""
        lines, sha256 = count_lines(folder, name)
        if mapping.dialect.header:
            return Looked(header=mapping.dialect.header, records=lines.count, sha256=sha256)
        try:
            header = _header(lines.first, mapping.dialect)
        except (UnicodeDecodeError, csv.Error) as error:
            found = type(error).__name__
            raise UnreadableError(f"its first line is no header in {mapping.dialect.encoding}: {found}") from error
        return Looked(header=tuple(header), records=lines.count - 1, sha256=sha256)

    def read(self, session: SparkSession, paths: Sequence[str], layout: Layout, mapping: Mapping) -> DataFrame:
        """Every line but the header."""
        texts = read_texts(session, paths, mapping.dialect.encoding)
        if not mapping.dialect.header:
            is_header = (F.col("block_start") == 0) & (F.col("line") == 1)
            texts = texts.where(~is_header)
        return split_fields(texts, layout.header, mapping.dialect)

    def parse(self, records: DataFrame, header: Sequence[str], mapping: Mapping) -> DataFrame:
        """Kept lines once more, by what the mapping says of them now."""
        return split_fields(kept_texts(records, mapping.dialect.encoding), header, mapping.dialect)


def _header(first_line: bytes, dialect: Dialect) -> list[str]:
    text = first_line.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n").decode(dialect.encoding)
    # The standard library knows delimiters of one character; a header with NUL is refused for the names it has.
    named = csv.reader(
        [text.replace(dialect.delimiter, "\0")],
        delimiter="\0",
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        escapechar=dialect.escape or None,
        strict=True,
    )
    return [name.replace("\0", dialect.delimiter) for name in next(named, [])]


def split_fields(texts: DataFrame, header: Sequence[str], dialect: Dialect) -> DataFrame:
    """`fields` (a text per header column; null where the line is broken), `reason` (null where it is whole), `raw`.

    In: `lines.read_texts`.
    """
    width = len(header)
    marked = texts.withColumn("text", _marked(F.col("text"), dialect))
    whole = marked.withColumn("reason", F.coalesce("reason", _open_end(F.col("text"), dialect)))
    parsed = whole.withColumn("parsed", F.when(F.col("reason").isNull(), _parsed(F.col("text"), dialect, width)))
    is_broken = F.col("parsed._broken").isNotNull() if dialect.quote else F.size("parsed") != width
    why = F.coalesce("reason", F.when(is_broken, F.lit(f"wanted {width} columns")))
    fields = _fields(F.col("parsed"), dialect, width).alias("fields")
    return parsed.select("file", "block_start", "line", "raw", fields, why.alias("reason"))


def _marks(dialect: Dialect) -> list[tuple[str, str]]:
    """What an escape can stand before, and what stands for it while a line is cut."""
    special = ((dialect.escape, "e\0"), (dialect.quote, "q\0"), (dialect.delimiter, "d\0"))
    return [(text, mark) for text, mark in special if text] if dialect.escape else []


def _marked(text: Column, dialect: Dialect) -> Column:
    """The line with a mark in place of what is escaped, and marks around what means null."""
    for special, mark in _marks(dialect):
        text = F.replace(text, F.lit(dialect.escape + special), F.lit(mark))
    if dialect.quote and dialect.nulls != _EVERY_EMPTY:
        delimiter, quote = re.escape(dialect.delimiter), re.escape(dialect.quote)
        nulls = "|".join(re.escape(null) for null in dialect.nulls if null)
        quoted = rf"{quote}(?:[^{quote}]|{quote}{quote})*+{quote}"
        # Quoted fields are matched as well, to be passed over; the empty marks behind them go again.
        field = rf"(^|{delimiter})(?:({quoted})|({nulls or '(?!)'})(?={delimiter}|\z))"
        text = F.replace(F.regexp_replace(text, field, f"$1$2{_NULL}$3{_NULL}"), F.lit(_NULL + _NULL), F.lit(""))
    return text


def _open_end(text: Column, dialect: Dialect) -> Column:
    """Why the line's end is not the record's."""
    reasons = [F.lit(None).cast("string")]
    if dialect.escape:
        reasons.append(F.when(F.endswith(text, F.lit(dialect.escape)), "open escape"))
    if dialect.quote:
        quotes = F.length(text) - F.length(F.replace(text, F.lit(dialect.quote), F.lit("")))
        reasons.append(F.when(quotes % 2 != 0, "open quote"))
    return F.coalesce(*reasons)


def _parsed(text: Column, dialect: Dialect, width: int) -> Column:
    """A struct of `width` texts and `_broken`; without quotes a list of as many texts as there are."""
    if not dialect.quote:
        return F.split(text, rf"\Q{dialect.delimiter}\E", -1)
    options = {
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": "_broken",
        "sep": dialect.delimiter,
        "quote": dialect.quote,
        "escape": dialect.quote,  # a quote inside quotes is doubled; Spark's own default is a backslash
        "nullValue": _EMPTY,
        "maxCharsPerColumn": "-1",
    }
    schema = ", ".join(f"`f{number}` string" for number in range(width)) + ", `_broken` string"
    return F.from_csv(text, schema, options)


def _fields(parsed: Column, dialect: Dialect, width: int) -> Column:
    """The struct of texts without marks, with nulls."""
    if dialect.quote and not dialect.escape and dialect.nulls == _EVERY_EMPTY:
        return parsed
    fields = []
    for number in range(width):
        if dialect.quote:
            text = parsed.getField(f"f{number}")
            text = text if "" in dialect.nulls else F.coalesce(text, F.lit(""))
            text = F.when(~F.startswith(text, F.lit(_NULL)), text)
        else:
            text = F.get(parsed, number)
            text = F.when(~text.isin(*dialect.nulls), text)
        for special, mark in _marks(dialect):
            text = F.replace(text, F.lit(mark), F.lit(special))
        fields.append(text.alias(f"f{number}"))
    return F.when(parsed.isNotNull(), F.struct(*fields))
