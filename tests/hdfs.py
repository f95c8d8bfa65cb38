"""HDFS of a test's own: a NameNode and a DataNode on loopback, in a temporary folder, from the release's own files."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

import hdfs
from requests.exceptions import RequestException

from services.bundle import payloads
from services.embedded.ports import free_ports
from services.setup import artifacts, paths, release
from services.setup.resolved import resolved

NAMENODE, DATANODE = "namenode.NameNode", "datanode.DataNode"
MEMORY_MB = 256
START_S = 60.0


@dataclass(slots=True)
class HdfsServer:
    """A file system in a folder, and its two processes while they run."""

    folder: Path
    class_path: str
    jvm_flags: tuple[str, ...]
    rpc_port: int
    web_port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Its root for Spark."""
        return f"hdfs://127.0.0.1:{self.rpc_port}"

    @property
    def web_url(self) -> str:
        """WebHDFS."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def client(self) -> hdfs.InsecureClient:
        """A client of WebHDFS."""
        return hdfs.InsecureClient(self.web_url, user="databank")

    def format(self) -> None:
        """Make it empty."""
        done = subprocess.run(self._command(NAMENODE, "-format"), env=self._environment, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the NameNode does not format: {done.stderr[-1000:]}")

    def start(self, program: str) -> None:
        """Start one of the two; returns when the file system takes a file, or with a NameNode alone when it answers."""
        with (self.folder / program).open("ab") as log:
            self.processes[program] = subprocess.Popen(
                self._command(program), env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until = time.monotonic() + START_S
        while not self._answers():
            if self.processes[program].poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{program} does not start: {(self.folder / program).read_text()[-1000:]}")
            time.sleep(0.1)

    def kill(self, program: str) -> None:
        """End one of the two with kill -9."""
        process = self.processes.pop(program)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End both."""
        for program in tuple(self.processes):
            self.kill(program)

    def _answers(self) -> bool:
        try:
            if DATANODE not in self.processes:
                return self.client.status("/", strict=False) is not None
            self.client.write("/started", data=b"yes", overwrite=True)
        except (hdfs.HdfsError, RequestException):
            return False
        return True

    def _command(self, program: str, *options: str) -> list[str]:
        java = str(resolved().spark_java_home / "bin" / "java")
        memory = [f"-Xmx{MEMORY_MB}m", *self.jvm_flags, "-Dhadoop.root.logger=WARN"]
        return [java, *memory, "-cp", self.class_path, f"org.apache.hadoop.hdfs.server.{program}", *options]

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, "HADOOP_USER_NAME": "databank"}

    def write_settings(self) -> None:
        """Everything on loopback; one copy of a block, not forced to the disk: no test cuts the power."""
        told = {
            "fs.defaultFS": self.url,
            "hadoop.tmp.dir": str(self.folder / "tmp"),
            "dfs.namenode.name.dir": f"file://{self.folder}/name",
            "dfs.datanode.data.dir": f"file://{self.folder}/data",
            "dfs.namenode.http-address": f"127.0.0.1:{self.web_port}",
            **{f"dfs.datanode.{what}": "127.0.0.1:0" for what in ("address", "ipc.address", "http.address")},
            "dfs.datanode.hostname": "127.0.0.1",
            "dfs.replication": "1",
            "dfs.permissions.enabled": "false",
            "dfs.namenode.safemode.extension": "0",
        }
        pairs = (f"<property><name>{k}</name><value>{escape(v)}</value></property>" for k, v in told.items())
        content = f"<configuration>{''.join(pairs)}</configuration>"
        for name in ("core-site.xml", "hdfs-site.xml"):
            (self.folder / name).write_text(content)


@contextmanager
def hdfs_server(folder: Path) -> Iterator[HdfsServer]:
    """An empty file system that runs; its processes are gone afterwards."""
    pinned, store = release.load(paths.release_file()), artifacts.Store(paths.cache_dir())
    needed = [*pinned.of("hdfs"), *pinned.of("hdfs_webapps")]
    artifacts.ensure(needed, store, resolved().spark_java_home)
    found = payloads.hdfs_files(pinned, store, folder)
    jars = [str(path) for name, path in found.items() if name.startswith("lib/")]
    rpc_port, web_port = free_ports(2)
    class_path = ":".join([str(folder), str(folder / "webapps"), *jars])
    server = HdfsServer(folder, class_path, pinned.components["hdfs"].jvm_flags, rpc_port, web_port)
    server.write_settings()
    server.format()
    try:
        for program in (NAMENODE, DATANODE):
            server.start(program)
        yield server
    finally:
        server.stop()
