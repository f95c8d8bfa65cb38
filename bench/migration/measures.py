"""One figure each: what is made ready first and does not count, and what is measured."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench import cpu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import Column, DataFrame, SparkSession

    from migration.work import Work

ROWS_A_FILE = 2_500_000
DRIVER_MB = 3_072
PLAIN, COPY, VERIFY = "plain Spark copy", "copy", "verify"
Facts = dict[str, Any]


def measure(name: str, rows: int, folder: Path) -> dict[str, Facts]:
    """CPU seconds, wall seconds and peak memory of what one process measures, by what it is; its files are its own."""
    source, target = folder / f"rows-{rows}", folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if name == "rows":
        _rows(rows, source, target)
        return {}
    return MEASURES[name](source, target)


class _Clock:
    """CPU and wall seconds of a block."""

    def __enter__(self) -> Self:
        self.began, self.cpu = time.monotonic(), cpu.seconds()
        return self

    def __exit__(self, *_args: object) -> None:
        self.cpu_s, self.wall_s = cpu.seconds() - self.cpu, time.monotonic() - self.began

    def facts(self, memory_mb: int) -> Facts:
        return {"cpu_s": self.cpu_s, "wall_s": self.wall_s, "memory_mb": memory_mb}


@contextmanager
def spark_in(target: Path) -> Iterator[SparkSession]:
    """Spark with two cores; Delta has been used once, so that its classes are loaded."""
    from spark_jobs.settings import SparkSettings  # noqa: PLC0415 - peers need no Spark
    from spark_jobs.storage.session import session  # noqa: PLC0415

    jars = tuple(os.environ["DATABANK_SPARK_JARS"].split(","))
    with session(SparkSettings("local[2]", DRIVER_MB, str(target / "spark"), jars), "bench") as spark:
        spark.range(1000).write.format("delta").save(str(target / "warm"))
        yield spark


def java_memory_mb(spark: SparkSession) -> int:
    """The most memory that Spark's Java has held so far, in MB."""
    jvm: Any = spark._jvm  # noqa: SLF001 - PySpark has no name for it
    return cpu.peak_memory_mb(int(jvm.java.lang.ProcessHandle.current().pid()))


def _rows(rows: int, source: Path, target: Path) -> None:
    from bench.migration.rows import write_rows  # noqa: PLC0415

    with spark_in(target) as spark:
        write_rows(spark, source, rows, max(1, rows // ROWS_A_FILE))


def _plain(source: Path, target: Path) -> dict[str, Facts]:
    with spark_in(target) as spark:
        spark.conf.unset("spark.sql.parquet.compression.codec")
        with _Clock() as clock:
            spark.read.parquet(str(source)).write.format("delta").save(str(target / "plain"))
        return {PLAIN: clock.facts(java_memory_mb(spark))}


@contextmanager
def work_in(source: Path, target: Path) -> Iterator[tuple[SparkSession, Work]]:
    """A plan over the rows, with an empty lake and a ledger in `target`."""
    from bench.migration.rows import planned  # noqa: PLC0415
    from spark_jobs.protection.keys import create_root_key_file  # noqa: PLC0415

    key_file = target / "keys" / "root.json"
    create_root_key_file(key_file)
    with spark_in(target) as spark, planned(spark, source, target, key_file) as work:
        yield spark, work


def _databank(source: Path, target: Path) -> dict[str, Facts]:
    """A copy and its verification, and then once more each of the passes that a verification makes."""
    from pyspark.sql import functions as F  # noqa: PLC0415

    from migration import verifying  # noqa: PLC0415
    from migration.copying import copy_all  # noqa: PLC0415
    from migration.reading import source_rows  # noqa: PLC0415
    from migration.rows import digest_of, place_of  # noqa: PLC0415
    from migration.settling import key_hashes, settle  # noqa: PLC0415
    from migration.summing import CHUNK, Side, chunk_of, read_once, to_sum  # noqa: PLC0415
    from spark_jobs.storage import delta  # noqa: PLC0415
    from spark_jobs.storage.delta import row_digest  # noqa: PLC0415

    with work_in(source, target) as (spark, work):
        mapping = work.mappings[0]
        table, key = mapping.table, key_hashes(mapping.table)[0]

        def summed(rows: DataFrame, digest: Column, key_a: Column | None, place: Column | None = None) -> None:
            wanted = to_sum(table, digest=digest, counts=F.lit(True), key_a=key_a, place=place)
            with read_once([Side("side_", rows.withColumn(CHUNK, chunk_of()).select(*wanted))], table) as found:
                found.sums.collect()

        steps: Mapping[str, Callable[[], object]] = {
            COPY: lambda: copy_all(work),
            VERIFY: lambda: verifying.verify_table(work, mapping),
            "  its source": lambda: summed(source_rows(work, mapping), digest_of(mapping), None, place_of("line")),
            "  its target and keys": lambda: summed(delta.read(work.lake, table), row_digest(table.types), key),
            "settle": lambda: settle(work.lake, table, run_id="bench"),
        }
        found = {}
        for name, step in steps.items():
            with _Clock() as clock:
                step()
            found[name] = clock.facts(java_memory_mb(spark))
        whole = {key: found[COPY][key] + found[VERIFY][key] for key in ("cpu_s", "wall_s")}
        return {"verified copy": {**whole, "memory_mb": found[VERIFY]["memory_mb"]}, **found}


def _duckdb(source: Path, target: Path) -> dict[str, Facts]:
    import duckdb  # noqa: PLC0415

    connection = duckdb.connect()
    connection.execute(f"SET threads = 2; SET temp_directory = '{target}'")
    with _Clock() as clock:
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{source}/*.parquet')) TO '{target}/duckdb.parquet' "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
    return {"DuckDB's COPY": clock.facts(cpu.peak_memory_mb(os.getpid()))}


def _delta_rs(source: Path, target: Path) -> dict[str, Facts]:
    import deltalake  # noqa: PLC0415 - a peer that is measured where it is installed
    import pyarrow.dataset as ds  # noqa: PLC0415

    with _Clock() as clock:
        reader = ds.dataset(source, format="parquet").scanner().to_reader()
        deltalake.write_deltalake(str(target / "delta-rs"), reader)
    return {"delta-rs": clock.facts(cpu.peak_memory_mb(os.getpid()))}


MEASURES: Mapping[str, Callable[[Path, Path], dict[str, Facts]]] = {
    "plain": _plain,
    "databank": _databank,
    "duckdb": _duckdb,
    "delta-rs": _delta_rs,
}
