"""`python -m spark_jobs.storage.practice FOLDER`: a job of what jobs do; set-up keeps the classes it loads."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from delta.tables import DeltaTable
from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from spark_jobs.settings import SparkSettings
from spark_jobs.storage.session import start_session

ROWS = 1000


def main(folder: Path) -> int:
    """Write, merge, stream, join and read a table; 0, once the JVM has ended and with it what it writes at its end."""
    spark = begin(folder)
    _practise(spark, folder)
    return end(spark)


def begin(folder: Path) -> SparkSession:
    """A session that needs nothing but a folder and set-up's environment."""
    jars = tuple(filter(None, os.environ["DATABANK_SPARK_JARS"].split(",")))
    return start_session(SparkSettings("local[2]", 1024, str(folder / "spark"), jars), "practice")


def end(spark: SparkSession) -> int:
    """Stop, and wait for the JVM: what it writes at its end is there, and its CPU time is counted."""
    gateway: Any = spark.sparkContext._gateway  # noqa: SLF001 - PySpark does not say when its JVM has ended
    spark.stop()
    gateway.proc.stdin.close()
    return int(gateway.proc.wait())


def _practise(spark: SparkSession, folder: Path) -> None:
    table, files = str(folder / "table"), str(folder / "csv")
    rows = spark.range(ROWS).select(
        "id", (F.col("id") % 7).cast("string").alias("key"), F.current_timestamp().alias("at")
    )
    rows.write.format("delta").partitionBy("key").save(table)
    rows.write.option("header", "true").csv(files)
    read = spark.read.schema(rows.schema).option("header", "true").csv(files)
    merge = DeltaTable.forPath(spark, table).alias("t").merge(read.alias("s"), "t.id = s.id")
    merge.whenMatchedUpdate(set={"at": "s.at"}).whenNotMatchedInsertAll().execute()
    _stream(spark, table, folder)
    held = spark.read.format("delta").load(table)
    latest = held.withColumn("n", F.row_number().over(Window.partitionBy("key").orderBy(F.desc("id"))))
    joined = latest.where("n = 1").join(held.groupBy("key").agg(F.count("*"), F.sum("id")), "key", "left")
    joined.select(F.to_json(F.struct("*")), F.sha2("key", 256), F.date_format("at", "yyyy")).collect()


def _stream(spark: SparkSession, table: str, folder: Path) -> None:
    def append(batch: DataFrame, number: int) -> None:
        writer = batch.write.format("delta").mode("append").option("txnAppId", "practice").option("txnVersion", number)
        writer.save(str(folder / "streamed"))

    source = spark.readStream.format("delta").load(table).writeStream.foreachBatch(append)
    source.option("checkpointLocation", str(folder / "checkpoint")).trigger(
        availableNow=True
    ).start().awaitTermination()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
