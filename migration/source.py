"""Source files in Spark: lines with their bytes and their place, then fields by the file's own header.

Lines are read as text, not by Spark's CSV reader: the bytes of a refused line can be kept, a broken line spoils no
other, and its place is known. A record is a line: a quoted line break leaves a quote open, and the line is refused.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.mapping import Dialect

# Files are cut into blocks of this size, whatever the cores at hand: a line's place must be the same in every run.
BLOCK_BYTES = 128 * 1024 * 1024
MAX_LINE_BYTES = 1024 * 1024
_INDEX_IN_PARTITION = (1 << 33) - 1
_LINE_BITS = 32
# An unquoted empty field is null, a quoted one is ''; no field holds this, because lines with NUL are refused before.
_NULL_MARK = "\0null"

_READING = {
    "spark.sql.files.maxPartitionBytes": str(BLOCK_BYTES),
    # Opening costs a whole block, so Spark never puts two blocks into one partition: see `read_lines`.
    "spark.sql.files.openCostInBytes": str(BLOCK_BYTES),
    # The JVM compiles no method over 8,000 bytes; a longer one would be interpreted (measured: 1.6 times the CPU).
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # GBK is none of the seven charsets of Spark 4; what it cannot decode is found by encoding it again.
    "spark.sql.legacy.javaCharsets": "true",
    "spark.sql.legacy.codingErrorAction": "true",
}


def reading_session(spark: SparkSession) -> SparkSession:
    """A session of the same application with the settings that reading needs; other work keeps its own."""
    session = spark.newSession()
    for key, value in {**_READING, "spark.sql.session.timeZone": "UTC"}.items():
        session.conf.set(key, value)
    return session


def read_lines(session: SparkSession, paths: Sequence[str]) -> DataFrame:
    r"""Every line of the files but the header: file (Spark's URI), value, block_start (bytes), line (from 1).

    `line` is the index in the partition, which is one block (reading_session); it is taken directly above the scan,
    where nothing has dropped or moved a row yet. Only "\n" ends a line: no byte of a GBK character is one.
    """
    text = session.read.option("lineSep", "\n").text(list(paths))
    index = F.monotonically_increasing_id().bitwiseAND(F.lit(_INDEX_IN_PARTITION))
    lines = text.select(
        F.col("_metadata.file_path").alias("file"),
        F.col("value"),
        F.col("_metadata.file_block_start").alias("block_start"),
        (index + F.lit(1)).alias("line"),
    )
    is_header = (F.col("block_start") == 0) & (F.col("line") == 1)
    return lines.where(~is_header)


def position_of(block_start: Column, line: Column) -> Column:
    """The line's place in its file as one number: the line itself in the first block, so in every file up to 128 MB."""
    block = (block_start / F.lit(BLOCK_BYTES)).cast("bigint")
    return F.shiftleft(block, _LINE_BITS) + line


def split_fields(lines: DataFrame, header: Sequence[str], dialect: Dialect) -> DataFrame:
    """Add `fields` (a text per header column; null where the line is broken) and `reason` (null where it is whole)."""
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
    return fields.withColumn("reason", F.coalesce("reason", counted)).drop("text")
