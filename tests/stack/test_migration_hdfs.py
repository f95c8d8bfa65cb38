"""History moves from HDFS into HDFS: a NameNode and a DataNode that run, WebHDFS to look, Spark for the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from migration.chunks import Chunk, ChunkState
from migration.copying import copy_all
from migration.healing import heal
from migration.pace import Pace, Wait
from migration.settling import settle
from migration.verifying import verify_table
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.errors import PlatformError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.fingerprints import Fingerprint, fingerprint
from tests.hdfs import DATANODE, NAMENODE, HdfsServer, hdfs_server
from tests.migration_files import line, old_system, planned

FILES, LINES = 3, 200


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[HdfsServer]:
    with hdfs_server(tmp_path_factory.mktemp("hdfs")) as running:
        yield running


def moving(server: HdfsServer, spark: SparkSession, key_file: Path, folder: Path) -> AbstractContextManager[Work]:
    """A plan over files in HDFS, the lake beside them; each repeats a line of the next one and has a refused one."""
    old = old_system(folder / "old", source=f"{server.url}/old export")
    for number in range(FILES):
        own = [line(number * LINES + n, product=n) for n in range(LINES)]
        path = old.put(str(number), [*own, line((number + 1) % FILES * LINES, product=0), "broken"])
        server.client.upload(f"/old export/transactions/{path.name}", str(path), overwrite=True)
    lake = Lake(spark, f"{server.url}/{folder.parent.name}/{folder.name}")
    return planned(old, lake, key_file, ledger=folder / "ledger.sqlite", webhdfs_url=server.web_url)


@pytest.fixture
def move(server, spark, key_file, tmp_path) -> Callable[[str], AbstractContextManager[Work]]:
    """`moving` by a name."""
    return lambda name: moving(server, spark, key_file, tmp_path / name)


def proven(work: Work) -> tuple[Fingerprint, int, int]:
    """What stands in the lake after all of it was settled and verified."""
    (mapping,) = work.mappings
    settle(work.lake, mapping.table, run_id="test-run")
    heal(work, mapping.table)
    verify_table(work, mapping)
    chunks = list(work.ledger.chunks(work.plan.plan_id))
    assert {chunk.state for chunk in chunks} == {ChunkState.VERIFIED}
    refused = delta.read(work.lake, QUARANTINE_ROWS).count()
    return fingerprint(delta.read(work.lake, ORDER_LINES), ORDER_LINES), refused, len(chunks)


@pytest.mark.thorough
def test_history_moves_from_hdfs_into_hdfs(move, server, tmp_path) -> None:
    with move("history") as work:
        copy_all(work)
        good, refused, chunks = proven(work)
    assert (good.rows, refused, chunks) == (FILES * LINES, FILES, FILES)
    log = server.client.list(f"/{tmp_path.name}/history/core/order_lines/_delta_log")
    assert sum(name.endswith(".json") for name in log) >= FILES


class _Killing:
    """Kills a program of HDFS when the first chunk has ended."""

    def __init__(self, server: HdfsServer, program: str) -> None:
        self.server, self.program = server, program

    def began(self, chunk: Chunk) -> None:
        """Not yet."""

    def ended(self, chunk: Chunk) -> None:
        """Now."""
        if self.program in self.server.processes:
            self.server.kill(self.program)

    def waits(self, wait: Wait | None) -> None:
        """Of no interest."""


@pytest.mark.campaign
@pytest.mark.parametrize("program", [NAMENODE, DATANODE])
def test_a_copy_goes_on_when_hdfs_is_back(move, server, program) -> None:
    with move("quiet") as work:
        copy_all(work)
        undisturbed = proven(work)
    with move("disturbed") as work:
        with pytest.raises((PlatformError, OSError, Py4JError, PySparkException)):
            copy_all(work, pace=Pace(parallel=1), watch=_Killing(server, program))
        assert program not in server.processes
        # A service that is away is no chunk's fault.
        assert ChunkState.FAILED not in {chunk.state for chunk in work.ledger.chunks(work.plan.plan_id)}
        server.start(program)
        with suppress(Py4JError):  # this process has a connection of before, which dies now; a new one would not
            delta.exists(work.lake, ORDER_LINES)
        copy_all(work)
        assert proven(work) == undisturbed
