"""What leaves of a trigger: one message, the same in the topic and as a post; ids and times, nothing of the person."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.topics import TRIGGERS_TOPIC
from spark_jobs.triggers.definitions import Trigger

PARTITIONS = TRIGGERS_TOPIC.partitions
_TOLD = (
    *("workspace_id", "trigger", "waits", "object_id", "person_id", "since_at", "due_at", "released_at"),
    *("cause_event_ids", "snapshot_id", "definition", "number"),
)
# Without a format to_json cuts to milliseconds.
_TIMES = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX", "ignoreNullFields": "false"}


def messages(steps: DataFrame, triggers: Sequence[Trigger]) -> DataFrame:
    """Rows of `sending.COLUMNS` and `trigger`; all of a person's are in one partition.

    In: rows of `tags.triggers` of one `send` run. Out: key WORKSPACE/TRIGGER/WAITS/OBJECT, unique; it never changes.
    """
    topic = reduce(
        lambda rest, one: F.when(F.col("trigger") == one.name, F.lit(one.topic)).otherwise(rest),
        triggers,
        F.lit(TRIGGERS_TOPIC.name),
    )
    return steps.select(
        F.pmod(F.xxhash64("person_id"), F.lit(PARTITIONS)).cast("int").alias("partition"),
        F.lit(False).alias("is_note"),
        topic.alias("topic"),
        F.concat_ws("/", "workspace_id", "trigger", "waits", "object_id").alias("key"),
        F.to_json(F.struct(*_TOLD), _TIMES).alias("value"),
        "trigger",
    )
