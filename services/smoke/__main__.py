"""`python -m services smoke`: the end-to-end smoke; doors and passwords come as JSON on standard input."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from pyspark.sql import functions as F

from services.smoke import doors, profile_door
from services.smoke.doors import Cluster
from spark_jobs import settings
from spark_jobs.storage.session import session


def main(_argv: list[str]) -> int:
    """Knock at every door; 0 when all opened, else 1; one JSON line a door."""
    cluster = Cluster(**json.load(sys.stdin), mark=doors.new_mark())
    ours = settings.load()
    lake = ours.storage_root
    knocks: dict[str, Callable[[], str]] = {
        "Kafka": lambda: doors.kafka_keeps_what_it_acknowledges(cluster),
        "HDFS": lambda: doors.hdfs_gives_back_what_it_got(cluster),
        "Spark and Trino": lambda: doors.spark_writes_what_trino_reads(cluster, lake, _write),
        "Airflow": lambda: doors.airflow_runs_a_dag(cluster),
    }
    if cluster.profiles:
        knocks["profiles"] = lambda: profile_door.profiles_answer_keys_alone(cluster, ours)
    results = [_knock(name, knock) for name, knock in knocks.items()]
    return 0 if all(results) else 1


def _knock(name: str, knock: Callable[[], str]) -> bool:
    began = time.monotonic()
    try:
        said, passed = knock(), True
    except Exception as error:  # noqa: BLE001 - each client has errors of its own, and every door is tried
        said, passed = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}", False
    told = {"door": name, "passed": passed, "said": said, "seconds": round(time.monotonic() - began, 1)}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    return passed


def _write(where: str, rows: int) -> int:
    """Write the numbers below `rows` as a Delta table, on the cluster's executors; their sum."""
    with session(settings.load().spark, "databank smoke") as spark:
        numbers = spark.range(rows, numPartitions=2).select(F.col("id").alias("n"))
        numbers.write.format("delta").save(where)
        return int(spark.read.format("delta").load(where).agg(F.sum("n")).collect()[0][0])
