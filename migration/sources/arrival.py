"""When a source had its records: what they tell of cannot have happened later, but for a clock's error.

Of a file that is when it was written, of a range of a table when its rows were counted, of a message to the stream when
it came (`spark_jobs.ingest.messages`). A mapping that knows better says `until`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from migration.chunks import Chunk
from spark_jobs.contracts.core import CLOCK_ERROR, FIRST_EVENT_AT

# In records: the last moment of which they can tell; null where the source has no time that can be believed.
LATEST = "latest_at"
_MICROSECOND = timedelta(microseconds=1)
_FIRST_US = (
    datetime.fromisoformat(FIRST_EVENT_AT).replace(tzinfo=UTC) - datetime.fromtimestamp(0, UTC)
) // _MICROSECOND


def latest_us(chunk: Chunk) -> int | None:
    """That moment in microseconds since 1970."""
    moment = chunk.mtime_ns // 1_000
    # Archives write 1970 or 1980 where they know no time.
    return moment + CLOCK_ERROR // _MICROSECOND if moment >= _FIRST_US else None


def latest_at(us: Column) -> Column:
    """The column LATEST of `latest_us`."""
    return F.timestamp_micros(us).alias(LATEST)


def with_latest(records: DataFrame, chunks: Sequence[Chunk]) -> DataFrame:
    """Records of these chunks with LATEST. In: `origin`; no shuffle is needed."""
    if len(chunks) == 1:
        return records.withColumn(LATEST, latest_at(F.lit(latest_us(chunks[0])).cast("bigint")))
    rows = [(chunk.origin, latest_us(chunk)) for chunk in chunks]
    moments = records.sparkSession.createDataFrame(rows, "origin string, us bigint")
    # One moment an origin, so this cannot add rows.
    joined = records.join(F.broadcast(moments), on="origin", how="inner")
    return joined.withColumn(LATEST, latest_at(F.col("us"))).drop("us")
