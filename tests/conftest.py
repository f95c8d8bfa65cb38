"""What every tier shares: one Spark session for a whole run, an empty lake for each test, a root key."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.testing.runner import UNTIL_VARIABLE
from spark_jobs.protection.keys import create_root_key_file
from spark_jobs.settings import SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from spark_jobs.storage.delta import Lake

# A shell's background job is started with Ctrl-C ignored, and so is all that it starts: tests of Ctrl-C hit nothing.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """With `./databank test --within`, what is marked `thorough` is not begun when the time is over."""
    until = os.environ.get(UNTIL_VARIABLE)
    if until is not None and time.time() > float(until) and item.get_closest_marker("thorough"):
        pytest.skip("the minutes of --within are over")


@pytest.fixture(autouse=True)
def _handlers_of_signals() -> Iterator[None]:
    """A program that a test calls takes signals for itself; the next test has them as they were."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def spark_settings(tmp_path_factory: pytest.TempPathFactory) -> SparkSettings:
    """Two cores and the jars that the set-up resolved."""
    jars = tuple(jar for jar in os.environ["DATABANK_SPARK_JARS"].split(",") if jar)
    return SparkSettings("local[2]", 1536, str(tmp_path_factory.mktemp("spark")), jars)


@pytest.fixture(scope="session")
def spark(spark_settings: SparkSettings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The one session of the run; starting it takes seconds, so no test stops it."""
    from spark_jobs.storage import delta
    from spark_jobs.storage.session import start_session
    from tests.empty_tables import EmptyTables

    session = start_session(spark_settings, "databank tests")
    # A query of a test is run once, over few rows: making and compiling its code takes longer than that.
    session.conf.set("spark.sql.codegen.wholeStage", "false")
    session.conf.set("spark.sql.codegen.factoryMode", "NO_CODEGEN")
    with pytest.MonkeyPatch.context() as patched:
        tables = EmptyTables(tmp_path_factory.mktemp("tables"), delta._create)
        patched.setattr(delta, "_create", tables.create)
        yield session
    session.stop()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Iterator[Lake]:
    """An empty storage root of this test's own; nothing stays cached after it."""
    from spark_jobs.storage.delta import Lake

    yield Lake(spark, str(tmp_path / "lake"))
    spark.catalog.clearCache()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A root key file of this test's own."""
    path = tmp_path / "keys" / "root.json"
    create_root_key_file(path)
    return path
