"""Rows of one batch for each table, as pure functions of parsed messages."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS
from spark_jobs.contracts.operations import RAW_EVENTS
from spark_jobs.ingest.messages import EMPTY

STAGE = "ingest"


def raw_rows(good: DataFrame) -> DataFrame:
    """Rows of `raw.events`: every good message, the ones that came twice included."""
    return good.select(*RAW_EVENTS.column_names)


def first_of_each_event(good: DataFrame) -> DataFrame:
    """One row per event id: the one that came first (lowest partition, then offset).

    In:  good messages; out: the same columns, unique on (workspace_id, event_id).
    """
    arrival = Window.partitionBy("workspace_id", "event_id").orderBy("partition", "offset")
    return good.withColumn("arrival", F.row_number().over(arrival)).where(F.col("arrival") == 1).drop("arrival")


def not_yet_known(rows: DataFrame, known: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """The rows whose key `known` does not hold; keys are never null."""
    return rows.join(known.select(*key), on=list(key), how="left_anti")


def event_rows(events: DataFrame) -> DataFrame:
    """Rows of `core.events`."""
    return events.select(*EVENTS.column_names)


def refused_rows(refused: DataFrame) -> DataFrame:
    """Rows of `quarantine.rows` before sealing: `sealed` still holds the message's bytes, null where none are kept.

    In:  parsed messages with a reason. Out: the contract's columns but kid.
    """
    return refused.select(
        F.coalesce("workspace_id", F.lit("")).alias("workspace_id"),
        F.lit(STAGE).alias("stage"),
        F.lit(EVENTS.name).alias("target"),
        F.concat_ws("/", "topic", F.col("partition").cast("string")).alias("source_object"),
        F.lit(0).cast("bigint").alias("block_start"),
        F.col("offset").alias("position"),
        "reason",
        F.when(F.col("reason") == EMPTY, F.lit(b"")).otherwise(F.col("value")).alias("sealed"),
        F.lit(EVENTS.contract_hash).alias("rule_version"),
        "origin",
        F.col("received_at").alias("quarantined_at"),
        F.col("received_date").alias("quarantined_date"),
    )
