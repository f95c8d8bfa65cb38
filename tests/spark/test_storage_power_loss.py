"""After a power loss a job gets executors though its driver has the address of one that the master still looks for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pyspark
import pytest

from services.embedded.ports import free_ports

pytestmark = pytest.mark.thorough

# The master looks for former drivers so long: both jobs register while it does.
LOOKS_S, WAIT_S = 60, 300
JOB = """
import sys
from pyspark.sql import SparkSession
from spark_jobs.storage import session

master, port, again_s, wait_s = sys.argv[1:]
session.REGISTER_AGAIN_S, session.EXECUTOR_WAIT_S = float(again_s), float(wait_s)
options = {"spark.executor.memory": "512m", "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}
options["spark.driver.port"] = port
session.registered(SparkSession.builder.master(master).config(map=options))
print("given", flush=True)
sys.stdin.read()
"""


class Cluster:
    """A master that remembers, a worker, and drivers that all listen at one port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.page, self.driver_port = free_ports(3)
        self.running: list[subprocess.Popen[str]] = []

    @property
    def master(self) -> str:
        return f"spark://127.0.0.1:{self.port}"

    def start(self) -> None:
        recovery = f"-Dspark.deploy.recoveryMode=FILESYSTEM -Dspark.deploy.recoveryDirectory={self.folder}"
        at = f"--host 127.0.0.1 --port {self.port} --webui-port {self.page}"
        self._java(f"{recovery} -Dspark.worker.timeout={LOOKS_S}", f"master.Master {at}")
        worker = f"worker.Worker --host 127.0.0.1 --cores 1 --memory 1g --webui-port 0 --work-dir {self.folder}/work"
        self._java("", f"{worker} {self.master}")

    def status(self) -> str:
        """What the master says of itself; it does so before a job is started."""
        until = time.monotonic() + WAIT_S
        while True:
            try:
                with urlopen(f"http://127.0.0.1:{self.page}/json/") as said:
                    return str(said.read().decode())
            except OSError:
                assert time.monotonic() < until, "the master does not come up"
                time.sleep(0.2)

    def job(self, *, again_s: float, wait_s: float) -> subprocess.Popen[str]:
        words = [sys.executable, "-c", JOB, self.master, str(self.driver_port), str(again_s), str(wait_s)]
        return self._started(words)

    def pull_the_plug(self) -> None:
        for process in self.running:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        self.running.clear()

    def _java(self, options: str, words: str) -> None:
        jars = f"{Path(pyspark.__file__).parent}/jars/*"
        command = ["java", "-Xmx256m", *options.split(), "-cp", jars]
        self._started([*command, *f"org.apache.spark.deploy.{words}".split()])

    def _started(self, words: list[str]) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(words, text=True, start_new_session=True, **pipes)  # type: ignore[call-overload]
        self.running.append(process)
        return process  # type: ignore[no-any-return]


@contextmanager
def after_a_power_loss(folder: Path) -> Iterator[Cluster]:
    """A cluster that has just come back; the driver that it had has not."""
    cluster = Cluster(folder)
    with ExitStack() as ending:
        ending.callback(cluster.pull_the_plug)
        cluster.start()
        cluster.status()
        assert said_by(cluster.job(again_s=WAIT_S, wait_s=WAIT_S)) == "given"
        cluster.pull_the_plug()
        cluster.start()
        assert '"status" : "RECOVERING"' in cluster.status()
        yield cluster


def said_by(job: subprocess.Popen[str]) -> str:
    assert job.stdout is not None
    return job.stdout.readline().strip()


def test_who_registers_where_a_dead_driver_is_still_known_gets_nothing(tmp_path: Path) -> None:
    """Which is why a session registers again: should this fail one day, Spark has mended it."""
    with after_a_power_loss(tmp_path) as cluster:
        assert said_by(cluster.job(again_s=LOOKS_S + 30, wait_s=0)) == ""


def test_a_session_that_gets_nothing_registers_again(tmp_path: Path) -> None:
    with after_a_power_loss(tmp_path) as cluster:
        assert said_by(cluster.job(again_s=LOOKS_S + 5, wait_s=WAIT_S)) == "given"
