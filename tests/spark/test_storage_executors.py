"""A job whose executor fits no worker says so and ends; Spark alone would wait without end."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.thorough

JOB = """
from spark_jobs.errors import RetryableError
from spark_jobs.storage import session
from pyspark.sql import SparkSession

for cores, wait_s in (("1", 60.0), ("2", 5.0)):
    session.EXECUTOR_WAIT_S = wait_s
    options = {"spark.executor.memory": "512m", "spark.executor.cores": cores, "spark.ui.enabled": "false"}
    options["spark.driver.host"] = "127.0.0.1"
    spark = SparkSession.builder.master("local-cluster[1,1,512]").config(map=options).getOrCreate()
    try:
        session.await_executor(spark)
        print("given")
        spark.stop()
    except RetryableError as error:
        print(error)
"""


def test_an_executor_that_fits_is_waited_for_and_one_that_does_not_is_named() -> None:
    answer = subprocess.run([sys.executable, "-c", JOB], capture_output=True, text=True, timeout=180)
    given, refused = answer.stdout.splitlines()
    assert given == "given", answer.stderr
    assert "no worker of local-cluster[1,1,512] gave an executor (memory = 512m, cores = 2) within 5 s" in refused
