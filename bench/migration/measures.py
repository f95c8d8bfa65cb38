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

    from pyspark.sql import SparkSession

    from migration.work import Work

ROWS_A_FILE = 2_500_000
DRIVER_MB = 3_072


def measure(name: str, rows: int, folder: Path) -> dict[str, Any]:
    """CPU seconds, wall seconds and peak memory of one measure; every process and file of it is its own."""
    source, target = folder / f"rows-{rows}", folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    return MEASURES[name](rows, source, target) if name != "rows" else _rows(rows, source, target)


class _Clock:
    """CPU and wall seconds of a block."""

    def __enter__(self) -> Self:
        self.began, self.cpu = time.monotonic(), cpu.seconds()
        return self

    def __exit__(self, *_args: object) -> None:
        self.cpu_s, self.wall_s = cpu.seconds() - self.cpu, time.monotonic() - self.began

    def facts(self, memory_mb: int) -> dict[str, Any]:
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


def _rows(rows: int, source: Path, target: Path) -> dict[str, Any]:
    from bench.migration.rows import write_rows  # noqa: PLC0415

    with spark_in(target) as spark:
        write_rows(spark, source, rows, max(1, rows // ROWS_A_FILE))
    return {}


def _plain(_rows: int, source: Path, target: Path) -> dict[str, Any]:
    with spark_in(target) as spark:
        spark.conf.unset("spark.sql.parquet.compression.codec")
        with _Clock() as clock:
            spark.read.parquet(str(source)).write.format("delta").save(str(target / "plain"))
        return clock.facts(java_memory_mb(spark))


@contextmanager
def work_in(source: Path, target: Path) -> Iterator[tuple[SparkSession, Work]]:
    """A plan over the rows, with an empty lake and a ledger in `target`."""
    from bench.migration.rows import planned  # noqa: PLC0415
    from spark_jobs.protection.keys import create_root_key_file  # noqa: PLC0415

    key_file = target / "keys" / "root.json"
    create_root_key_file(key_file)
    with spark_in(target) as spark, planned(spark, source, target, key_file) as work:
        yield spark, work


def _copy(_rows: int, source: Path, target: Path) -> dict[str, Any]:
    from migration.copying import copy_all  # noqa: PLC0415

    with work_in(source, target) as (spark, work):
        with _Clock() as clock:
            copy_all(work)
        return clock.facts(java_memory_mb(spark))


def _verified_copy(_rows: int, source: Path, target: Path) -> dict[str, Any]:
    from migration.copying import copy_all  # noqa: PLC0415
    from migration.verifying import verify_table  # noqa: PLC0415

    with work_in(source, target) as (spark, work):
        with _Clock() as clock:
            copy_all(work)
            verify_table(work, work.mappings[0])
        return clock.facts(java_memory_mb(spark))


def _verify_side(side: str) -> Callable[[int, Path, Path], dict[str, Any]]:
    def measured(_rows: int, source: Path, target: Path) -> dict[str, Any]:
        from migration import verifying  # noqa: PLC0415
        from migration.copying import copy_all  # noqa: PLC0415
        from migration.settling import settle  # noqa: PLC0415
        from migration.summing import standing, summed  # noqa: PLC0415
        from spark_jobs.storage import delta  # noqa: PLC0415

        with work_in(source, target) as (spark, work):
            copy_all(work)
            mapping = work.mappings[0]
            stored = delta.read(work.lake, mapping.table)

            def held() -> int:
                with standing(stored, mapping.table) as found:
                    return len(found.sums.collect()) + found.twice.count()

            parts: dict[str, Callable[[], object]] = {
                "source": lambda: summed(verifying.source_digests(work, mapping)).collect(),
                "target": held,
                "columns": lambda: verifying.column_facts(stored, mapping.table),
                "settle": lambda: settle(work.lake, mapping.table, run_id="bench"),
            }
            with _Clock() as clock:
                parts[side]()
            return clock.facts(java_memory_mb(spark))

    return measured


def _duckdb(_rows: int, source: Path, target: Path) -> dict[str, Any]:
    import duckdb  # noqa: PLC0415

    connection = duckdb.connect()
    connection.execute(f"SET threads = 2; SET temp_directory = '{target}'")
    with _Clock() as clock:
        connection.execute(
            f"COPY (SELECT * FROM read_parquet('{source}/*.parquet')) TO '{target}/duckdb.parquet' "
            "(FORMAT parquet, COMPRESSION zstd)"
        )
    return clock.facts(cpu.peak_memory_mb(os.getpid()))


def _delta_rs(_rows: int, source: Path, target: Path) -> dict[str, Any]:
    import deltalake  # noqa: PLC0415 - a peer that is measured where it is installed
    import pyarrow.dataset as ds  # noqa: PLC0415

    with _Clock() as clock:
        reader = ds.dataset(source, format="parquet").scanner().to_reader()
        deltalake.write_deltalake(str(target / "delta-rs"), reader)
    return clock.facts(cpu.peak_memory_mb(os.getpid()))


MEASURES: Mapping[str, Callable[[int, Path, Path], dict[str, Any]]] = {
    "plain": _plain,
    "copy": _copy,
    "verified copy": _verified_copy,
    "verify: source": _verify_side("source"),
    "verify: target": _verify_side("target"),
    "verify: columns": _verify_side("columns"),
    "settle": _verify_side("settle"),
    "DuckDB": _duckdb,
    "delta-rs": _delta_rs,
}
