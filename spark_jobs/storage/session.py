"""The Spark session: settings that every job shares, with the reason for each."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.jvm import LATE_OPTIMISING
from spark_jobs.settings import SparkSettings
from spark_jobs.storage import progress

# Two partitions for state and shuffles serve two cores; a cluster's settings file will say more.
_FIXED = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.sql.session.timeZone": "UTC",
    # Times without a zone in ORC go through Java's own: an hour that it skipped in spring would come out as another.
    "spark.executorEnv.TZ": "UTC",
    "spark.sql.parquet.compression.codec": "zstd",
    # Page checksums are written anyway; without this they are never compared (20 of 73 flipped bits went unseen).
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
    "spark.databricks.delta.snapshotPartitions": "2",
    # A lost answer to a commit becomes one commit, not two.
    "spark.databricks.delta.commit.idempotencyCheck.enabled": "true",
    "spark.shuffle.checksum.enabled": "true",
    "spark.sql.shuffle.orderIndependentChecksum.enabled": "true",
    "spark.speculation": "false",
    # Without it a kept frame has as many pieces as the widest shuffle may have: a batch of 50,000 messages was written
    # as 7,221 files, and a table of 27 rows was verified in 53 s.
    "spark.sql.optimizer.canChangeCachedPlanOutputPartitioning": "true",
    # A job has hundreds of generated classes; with the default of 100 they are thrown out, made and compiled again.
    "spark.sql.codegen.cache.maxEntries": "3000",
    # Else PySpark tells the JVM, before each operation on a column, from which line of Python it comes.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "50000",
    "spark.log.level": "WARN",
}
# Executors of the driver's own process: nothing listens beyond this machine. A cluster has its spark-defaults.conf.
_LOCAL = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
# Of billions of rows, none of few tasks could hold its share; where there is little, Spark puts pieces together again
# (of what is kept between two uses only since `canChangeCachedPlanOutputPartitioning` says that it may).
_CLUSTER = {"spark.sql.adaptive.coalescePartitions.initialPartitionNum": "256"}
EXECUTOR_WAIT_S = 300.0
# A master that comes back looks for drivers that it knew for spark.worker.timeout (60 s). So long it knows a killed
# one by its address: who registers from there is told that it is registered, and gets nothing.
REGISTER_AGAIN_S = 75.0
_FULL = "No space left on device"
JAVA = (17, 21)  # what this Spark was run on
_JAVA_VERSION = re.compile(r'^JAVA_VERSION="(?:1\.)?(\d+)', re.MULTILINE)  # Java 8 calls itself 1.8


@contextmanager
def session(settings: SparkSettings, name: str) -> Iterator[SparkSession]:
    """A session that ends with the block; what Spark could not do is a RetryableError: every write is one commit."""
    spark = None
    try:
        spark = start_session(settings, name)
        with progress.told(spark):
            yield spark
    except (PySparkException, Py4JError) as error:
        said = _said(error)
        full = f" (where the lake lies, or {settings.local_dir}, where Spark shuffles)" if _FULL in said else ""
        raise RetryableError(
            f"Spark failed: {said}{full}; nothing is half-written; mend that and start it again"
        ) from error
    finally:
        if spark is not None:
            spark.stop()


def _said(error: Exception) -> str:
    """What went wrong in one line: py4j's own first line says only which call it was."""
    of_java = getattr(error, "java_exception", None)
    text = str(error if of_java is None else of_java.toString()).strip()
    return (text.splitlines() or [type(error).__name__])[0]


def start_session(settings: SparkSettings, name: str) -> SparkSession:
    """Start (or join) the session of this process; TerminalError where a jar is missing or Java is a wrong one."""
    missing = [jar for jar in settings.jars if not Path(jar).is_file()]
    if missing:
        raise TerminalError(
            f"Spark jars are missing: {', '.join(missing[:3])}; run the set-up again (`./databank status`)"
        )
    _require_java()
    _start_java_with_memory(settings.driver_memory_mb)
    builder = SparkSession.builder.master(settings.master).appName(name)
    is_local = settings.master.startswith("local")
    for key, value in (_FIXED | (_LOCAL if is_local else _CLUSTER)).items():
        builder = builder.config(key, value)
    builder = (
        builder.config("spark.jars", ",".join(settings.jars))
        .config("spark.local.dir", settings.local_dir)
        .config("spark.sql.shuffle.partitions", str(max(2, os.cpu_count() or 2)))
        # With its scheme: where the default file system is HDFS, a bare path would be a folder at its root.
        .config("spark.sql.warehouse.dir", f"file:{settings.local_dir}/warehouse")
    )
    return builder.getOrCreate() if is_local else registered(builder)


def registered(builder: SparkSession.Builder) -> SparkSession:
    """A session that has an executor; one that gets none for a while registers once more."""
    spark = builder.getOrCreate()
    if not has_executor(spark, within_s=REGISTER_AGAIN_S):
        spark.stop()
        spark = builder.getOrCreate()
    await_executor(spark)
    return spark


def _require_java() -> None:
    """TerminalError where JAVA_HOME says that it is a Java that Spark does not run on; without it, `java` is tried."""
    home = os.environ.get("JAVA_HOME")
    try:
        said = (Path(home) / "release").read_text(encoding="utf-8", errors="replace") if home else ""
    except OSError:
        said = ""
    match = _JAVA_VERSION.search(said)
    if match and int(match[1]) not in JAVA:
        wanted = " or ".join(str(major) for major in JAVA)
        raise TerminalError(
            f"JAVA_HOME={home} is Java {match[1]}, and Spark needs Java {wanted}; point JAVA_HOME at one of these"
        )


def await_executor(spark: SparkSession) -> None:
    """Return when a worker has given an executor: for one that fits nowhere, Spark itself waits without end."""
    if has_executor(spark, within_s=EXECUTOR_WAIT_S):
        return
    context = spark.sparkContext
    wanted = [f"{key} = {context.getConf().get(f'spark.executor.{key}', 'default')}" for key in ("memory", "cores")]
    spark.stop()
    raise RetryableError(
        f"no worker of {context.master} gave an executor ({', '.join(wanted)}) within {EXECUTOR_WAIT_S:.0f} s; "
        "wait for other jobs to end, or let executors be smaller than a worker (platform_executor_memory_mb)"
    )


def has_executor(spark: SparkSession, *, within_s: float) -> bool:
    """Whether a worker gave an executor within so many seconds."""
    until = time.monotonic() + within_s
    known = spark.sparkContext._jsc.sc()  # noqa: SLF001 - PySpark has no name for it
    while known.getExecutorMemoryStatus().size() < 2:  # the driver is one of them
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _start_java_with_memory(driver_memory_mb: int) -> None:
    # Memory and collector are fixed when the JVM starts, so they are arguments of spark-submit, not settings. Of a few
    # cores the parallel collector takes less than G1 (measured on two: 14 % less CPU for the stream, 10 % for a copy).
    options = f"-Duser.timezone=UTC -XX:+UseParallelGC {' '.join(LATE_OPTIMISING)}"
    if classes := os.environ.get("DATABANK_SPARK_CLASSES"):
        # Made by set-up. One that does not fit is passed over, which is nothing that a job's output must say.
        options += f" -XX:SharedArchiveFile={classes} -Xlog:cds*=off"
    arguments = f"--driver-memory {driver_memory_mb}m --driver-java-options '{options}' pyspark-shell"
    os.environ.setdefault("PYSPARK_SUBMIT_ARGS", arguments)
