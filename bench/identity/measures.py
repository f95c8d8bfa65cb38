"""One figure each: what is made ready first and does not count, and what is measured."""

from __future__ import annotations

import os
import shutil
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from bench import cpu
from bench.identity import peers
from bench.identity.links import write_links

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.settings import Settings

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which links, where what is measured writes, and what one task may finish."""

    links: Path
    count: int
    target: Path
    budget: int
    driver_mb: int


def measure(name: str, count: int, args: Namespace) -> Facts:
    """CPU seconds, wall seconds, peak memory and size on disk of one measure; its files are its own."""
    links = write_links(args.folder, count, is_wide=args.wide)
    target = args.folder / "target"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    facts = MEASURES[name](Wanted(links, count, target, args.budget, args.driver_mb))
    return {**facts, "disk_mb": sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) >> 20}


@contextmanager
def _spark(wanted: Wanted) -> Iterator[SparkSession]:
    """Spark with two cores that has written a file, and a worker that has compiled what it needs."""
    from spark_jobs.identity import components  # noqa: PLC0415 - peers need no Spark
    from spark_jobs.settings import SparkSettings  # noqa: PLC0415
    from spark_jobs.storage.session import session  # noqa: PLC0415

    jars = tuple(os.environ["DATABANK_SPARK_JARS"].split(","))
    with session(SparkSettings("local[2]", wanted.driver_mb, str(wanted.target / "spark"), jars), "bench") as spark:
        few = spark.range(1000).selectExpr("id AS a", "id + 1 AS b")
        warm = components.labels(few, _keep(spark, wanted.target / "warm"), at_most=1000, budget=10_000)
        warm.write.parquet(str(wanted.target / "warm.parquet"))
        yield spark


def _keep(spark: SparkSession, folder: Path) -> Callable[[Any, str], Any]:
    from spark_jobs.storage.checkpoints import Scratch  # noqa: PLC0415
    from spark_jobs.storage.delta import Lake  # noqa: PLC0415

    return Scratch(Lake(spark, str(folder)), str(folder)).keep


def _timed(action: Callable[[], object], java: int | None = None) -> Facts:
    began, before = time.monotonic(), cpu.seconds()
    with cpu.Peaks() as peaks:
        action()
    facts: Facts = {"cpu_s": cpu.seconds() - before, "wall_s": time.monotonic() - began}
    own = os.getpid() if java is None else java
    return {**facts, "memory_mb": cpu.peak_memory_mb(own), "task_mb": peaks.largest_mb(beside={own})}


def _java(spark: SparkSession) -> int:
    jvm: Any = spark._jvm  # noqa: SLF001 - PySpark has no name for it
    return int(jvm.java.lang.ProcessHandle.current().pid())


def _components(wanted: Wanted) -> Facts:
    from spark_jobs.identity import components  # noqa: PLC0415

    with _spark(wanted) as spark:

        def label() -> None:
            links = spark.read.parquet(str(wanted.links))
            keep = _keep(spark, wanted.target / "work")
            found = components.labels(links, keep, at_most=wanted.count, budget=wanted.budget)
            found.write.parquet(str(wanted.target / "labels.parquet"))

        return _timed(label, _java(spark))


def _verb(wanted: Wanted) -> Facts:
    from spark_jobs.identity import components_job  # noqa: PLC0415

    with _spark(wanted) as spark:
        given = Namespace(columns=None, delimiter=None, header=False, text=False, root_link_budget=wanted.budget)
        args = Namespace(links=str(wanted.links), out=str(wanted.target / "out"), **vars(given))
        return _timed(lambda: components_job.run(spark, _settings(wanted.target), args), _java(spark))


def _identity(wanted: Wanted) -> Facts:
    from bench.identity.ledger import write_ledger  # noqa: PLC0415
    from spark_jobs.identity import job  # noqa: PLC0415
    from spark_jobs.storage.delta import Lake  # noqa: PLC0415

    with _spark(wanted) as spark:
        settings = _settings(wanted.target)
        write_ledger(Lake(spark, settings.storage_root), wanted.links, wanted.count)
        args = Namespace(rebuild=True, rules=None, root_link_budget=wanted.budget)
        return _timed(lambda: job.run(spark, settings, args), _java(spark))


def _settings(target: Path) -> Settings:
    from spark_jobs.settings import Settings, SparkSettings, Workspace  # noqa: PLC0415

    workspace = Workspace("bench", ZoneInfo("UTC"), date(2026, 1, 1))
    return Settings(str(target / "lake"), "", "", "", Path("none"), SparkSettings("local[2]", 0, "", ()), (workspace,))


def _stars(wanted: Wanted) -> Facts:
    with _spark(wanted) as spark:
        return _timed(lambda: peers.with_stars(spark, wanted.links, wanted.target), _java(spark))


def _in_memory(peer: Callable[[Path, Path], None]) -> Callable[[Wanted], Facts]:
    return lambda wanted: _timed(lambda: peer(wanted.links, wanted.target))


MEASURES: Mapping[str, Callable[[Wanted], Facts]] = {
    "components": _components,
    "verb": _verb,
    "identity": _identity,
    "stars": _stars,
    "duckdb": _in_memory(peers.with_duckdb),
    "scipy": _in_memory(peers.with_scipy),
    "rustworkx": _in_memory(peers.with_rustworkx),
}
