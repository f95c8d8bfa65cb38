"""Trino: one node that is coordinator and worker, on loopback, with the catalogs that `trino_catalog` describes."""

from __future__ import annotations

import contextlib
import shutil
import string
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping
from pathlib import Path

import trino.dbapi
import trino.exceptions
from requests.exceptions import RequestException

from services.embedded.layout import Layout
from services.embedded.ports import LOOPBACK
from services.setup.resolved import Resolved
from spark_jobs.errors import TerminalError
from spark_jobs.jvm import LATE_OPTIMISING

HEAP_MB = 1280
START_TIMEOUT_S = 180.0
STOP_TIMEOUT_S = 20.0
# What Trino keeps for itself beside queries; the rest of the heap is for queries.
_HEADROOM_MB = 384
_QUERY_MB = 640
_USER = "databank"
# Of two cores the parallel collector takes 15 % less for start, shadow run and questions than G1, Trino's own choice.
_COLLECTOR = "-XX:+UseParallelGC"


def log_file(layout: Layout) -> Path:
    """Trino's log."""
    return layout.logs / "trino.log"


def prepare(chosen: Resolved, layout: Layout, *, port: int, catalogs: Path, variables: Mapping[str, str]) -> list[str]:
    """Write the settings and catalogs, return the command that starts Trino."""
    etc = layout.trino / "etc"
    shutil.rmtree(etc, ignore_errors=True)
    (etc / "catalog").mkdir(parents=True)
    (layout.trino / "tmp").mkdir(exist_ok=True)
    render_catalogs(catalogs, etc / "catalog", variables)
    (etc / "log.properties").write_text("io.trino=WARN\nio.airlift=WARN\n", encoding="utf-8")
    text = "".join(f"{key}={value}\n" for key, value in settings(chosen, layout, port).items())
    (etc / "config.properties").write_text(text, encoding="utf-8")
    return [
        str(chosen.trino_java),
        f"-Xmx{HEAP_MB}m",
        *chosen.trino_jvm_flags,
        _COLLECTOR,
        *LATE_OPTIMISING,
        f"-Djava.io.tmpdir={layout.trino / 'tmp'}",  # /tmp may be mounted noexec
        f"-Dconfig={etc / 'config.properties'}",
        "-cp",
        f"{chosen.trino_home / 'lib'}/*",
        "io.trino.server.TrinoServer",
    ]


def settings(chosen: Resolved, layout: Layout, port: int) -> dict[str, str]:
    """Settings of a single node with a small heap."""
    address = f"http://{LOOPBACK}:{port}"
    return {
        "coordinator": "true",
        "node-scheduler.include-coordinator": "true",
        "http-server.http.port": str(port),
        "discovery.uri": address,
        "node.environment": "databank",
        "node.id": _node_id(layout),
        "node.bind-ip": LOOPBACK,
        "node.internal-address": LOOPBACK,
        "plugin.dir": str(chosen.trino_home / "plugin"),
        "catalog.config-dir": str(layout.trino / "etc" / "catalog"),
        "memory.heap-headroom-per-node": f"{_HEADROOM_MB}MB",
        "query.max-memory-per-node": f"{_QUERY_MB}MB",
        "query.max-memory": f"{_QUERY_MB}MB",
        "log.levels-file": str(layout.trino / "etc" / "log.properties"),
        "log.path": str(log_file(layout)),
        "log.max-size": "10MB",
        "log.max-total-size": "30MB",
        "log.enable-console": "false",
        "http-server.log.enabled": "false",
    }


def render_catalogs(source: Path, target: Path, variables: Mapping[str, str]) -> None:
    """Fill `${name}` in every catalog file of `source`; TerminalError names a variable that nothing provides."""
    for template in sorted(source.glob("*.properties")):
        try:
            text = string.Template(template.read_text(encoding="utf-8")).substitute(variables)
        except (KeyError, ValueError) as error:
            raise TerminalError(
                f"{template}: {error} cannot be filled in; the embedded stack provides {', '.join(sorted(variables))}"
            ) from error
        (target / template.name).write_text(text, encoding="utf-8")


def answers(port: int) -> bool:
    """True when Trino has started and answers a query."""
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/v1/info", timeout=2) as reply:
            is_starting = b'"starting":true' in reply.read()
    except (urllib.error.URLError, OSError):
        return False
    return not is_starting and _selects_one(port)


def _selects_one(port: int) -> bool:
    try:
        connection = trino.dbapi.connect(  # type: ignore[no-untyped-call] # it has no types
            host=LOOPBACK, port=port, user=_USER, request_timeout=10, max_attempts=1
        )
        with contextlib.closing(connection):
            return bool(connection.cursor().execute("SELECT 1").fetchall() == [[1]])
    except (trino.exceptions.Error, RequestException):
        return False


def _node_id(layout: Layout) -> str:
    """The node's id, made once and kept: Trino's must be stable."""
    path = layout.trino / "node.id"
    if not path.exists():
        path.write_text(f"{uuid.uuid4()}\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()
