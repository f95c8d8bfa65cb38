"""Source files in Spark as lines, with their bytes and their place.

Lines are read as text, not by Spark's readers of CSV or JSON: the bytes of a refused line can be kept, a broken line
spoils no other, and its place is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from migration.dialects import ENCODINGS
from migration.sources.compression import HADOOP_CODECS
from migration.sources.folders import PATTERN_CHARACTERS

# Files are cut into blocks of this size, whatever the cores at hand: a line's place must be the same in every run.
BLOCK_BYTES = 128 * 1024 * 1024
MAX_LINE_BYTES = 1024 * 1024
_INDEX_IN_PARTITION = (1 << 33) - 1
_LINE_BITS = 32
_READING = {
    "spark.sql.files.maxPartitionBytes": str(BLOCK_BYTES),
    # Opening costs a whole block, so Spark never puts two blocks into one partition: see `read_lines`.
    "spark.sql.files.openCostInBytes": str(BLOCK_BYTES),
    # The JVM compiles no method over 8,000 bytes; a longer one would be interpreted (measured: 1.6 times the CPU).
    "spark.sql.codegen.hugeMethodLimit": "8000",
    # GBK is none of the seven charsets of Spark 4; what it cannot decode is found by encoding it again.
    "spark.sql.legacy.javaCharsets": "true",
    "spark.sql.legacy.codingErrorAction": "true",
    "io.compression.codecs": HADOOP_CODECS,
    # A value of another type makes the whole text unreadable; by default it would be null, and nobody told.
    "spark.sql.json.enablePartialResults": "false",
}


def reading_session(spark: SparkSession) -> SparkSession:
    """A session of the same application with the settings that reading needs; other work keeps its own."""
    session = spark.newSession()
    for key, value in {**_READING, "spark.sql.session.timeZone": "UTC"}.items():
        session.conf.set(key, value)
    return session


def as_written(paths: Sequence[str]) -> list[str]:
    """Paths for Spark, to which `*` and `[` in a name are a pattern.

    Its option `__globPaths__` is for one path: of several, one with such a name lets it read all others twice.
    """
    return [re.sub(f"[{re.escape(PATTERN_CHARACTERS)}]", r"\\\g<0>", path) for path in paths]


def read_lines(session: SparkSession, paths: Sequence[str]) -> DataFrame:
    r"""Every line of the files: file (Spark's URI), value, block_start (bytes), line (from 1).

    Only "\n" ends a line: no byte of a character is one in any of ENCODINGS. A compressed file is one block.
    """
    text = session.read.option("lineSep", "\n").text(as_written(paths))
    return text.select(
        F.col("_metadata.file_path").alias("file"),
        F.col("value"),
        F.col("_metadata.file_block_start").alias("block_start"),
        line_in_block().alias("line"),
    )


def line_in_block() -> Column:
    """The record's place in its block, from 1: its index in the partition, which is one block (`reading_session`).

    It must be taken directly above the scan, where nothing has dropped or moved a row yet.
    """
    return F.monotonically_increasing_id().bitwiseAND(F.lit(_INDEX_IN_PARTITION)) + F.lit(1)


def read_texts(session: SparkSession, paths: Sequence[str], encoding: str) -> DataFrame:
    """Every line as `text`, without its carriage return: file, block_start, line, raw, text, reason.

    `reason` says why the line is no text, or is null. Of a line over MAX_LINE_BYTES no text is made, and `raw` is cut.
    """
    return _texts_of(read_lines(session, paths), encoding, longest=MAX_LINE_BYTES)


def kept_texts(records: DataFrame, encoding: str) -> DataFrame:
    """The same of lines whose bytes were kept. In: file, block_start, line, raw.

    One that was cut when it was kept is as long as such a line can be, and is refused again.
    """
    lines = records.withColumn("value", F.col("raw").cast("string")).drop("raw")
    return _texts_of(lines, encoding, longest=MAX_LINE_BYTES - 1)


def _texts_of(lines: DataFrame, encoding: str, *, longest: int) -> DataFrame:
    # Here a long line ends: each further copy of it, in the JVM and on its way to Python, would need its memory again.
    is_long, raw = F.octet_length("value") > longest, F.col("value").cast("binary")
    cut = F.when(is_long, F.substring(raw, 1, MAX_LINE_BYTES)).otherwise(raw)
    kept = lines.select(
        "file", "block_start", "line", cut.alias("raw"), F.when(~is_long, F.col("value")).alias("value")
    )
    charset = ENCODINGS[encoding]
    is_utf8 = charset == "UTF-8"
    value = F.col("value").cast("binary")
    text = F.col("value") if is_utf8 else F.decode(value, charset)
    is_encoded = F.is_valid_utf8("value") if is_utf8 else F.encode(text, charset) == value
    decoded = kept.withColumn("text", F.regexp_replace(text, r"\r\z", ""))
    reason = (
        F.when(F.col("value").isNull(), f"longer than {MAX_LINE_BYTES} bytes; only these are kept")
        .when(~is_encoded, f"not valid {encoding.upper()}")
        .when(F.length(F.trim("text")) == 0, "blank line")
        .when(F.contains("text", F.lit("\0")), "NUL byte")
    )
    return decoded.withColumn("reason", reason).drop("value")


def position_of(block_start: Column, line: Column) -> Column:
    """The line's place in its file as one number: the line itself in the first block, so in every file up to 128 MB."""
    block = (block_start / F.lit(BLOCK_BYTES)).cast("bigint")
    return F.shiftleft(block, _LINE_BITS) + line
