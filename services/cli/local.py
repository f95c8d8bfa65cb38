"""Verbs of the local stack: `up`, `down`, `status`, `runs`, `test`."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import trino.dbapi
import trino.exceptions
from requests.exceptions import RequestException
from rich.console import Console
from rich.table import Table

from services.cli.arguments import Wanted
from services.embedded import detached
from services.embedded.ports import LOOPBACK
from services.embedded.state import Ports
from services.setup import paths
from services.testing import campaign, runner
from spark_jobs.errors import RetryableError, TerminalError

_RUN_COLUMNS = ("job", "workspace_id", "state", "started_at", "ended_at", "rows_in", "rows_out", "rows_quarantined")
_LAST_RUNS = 20


def data_dir() -> Path:
    """The one data directory of the checkout's stack."""
    return paths.state_dir() / "data"


def up(wanted: Wanted) -> int:
    """Start the stack, or describe the one that runs."""
    named = "Kafka, Trino and Airflow" if wanted.airflow else "Kafka and Trino"
    about = "a minute" if wanted.airflow else "20 s"
    sys.stderr.write(f"databank up: starting {named}, or finding them running (about {about})\n")
    ports = Ports(kafka=wanted.kafka_port, trino=wanted.trino_port, airflow=wanted.airflow_port)
    stack = detached.up(data_dir(), ports, with_airflow=wanted.airflow)
    return _show(stack)


def down(_wanted: Wanted) -> int:
    """Stop the stack."""
    stopped = detached.down(data_dir())
    sys.stdout.write(f"stopped {', '.join(stopped)}\n" if stopped else "nothing runs\n")
    return 0


def status(wanted: Wanted) -> int:
    """What runs and whether it answers; 1 when something that should run does not."""
    stack = detached.status(data_dir())
    if wanted.json:
        sys.stdout.write(json.dumps(asdict(stack)) + "\n")
        return 0 if all(service.answers for service in stack.services) else 1
    return _show(stack)


def runs(wanted: Wanted) -> int:
    """The last runs of all jobs, read through Trino."""
    rows = [dict(zip(_RUN_COLUMNS, row, strict=True)) for row in _read_runs()]
    if wanted.json:
        sys.stdout.write(json.dumps({"runs": rows}, default=str) + "\n")
        return 0
    table = Table(*_RUN_COLUMNS)
    for row in rows:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    Console().print(table)
    return 0


def test(wanted: Wanted) -> int:
    """Run the tiers that were named, or all."""
    for marker, is_wanted in (("campaign", wanted.campaign), ("lifecycle", wanted.lifecycle)):
        if is_wanted:
            return campaign.run(marker, fresh=wanted.fresh)
    return runner.run_tiers(wanted.tiers, within_min=wanted.within)


VERBS: Mapping[str, Callable[[Wanted], int]] = {"up": up, "down": down, "status": status, "runs": runs, "test": test}


def _show(stack: detached.StackStatus) -> int:
    if not stack.running:
        sys.stdout.write("nothing runs; `./databank up` starts Kafka and Trino\n")
        return 0
    sys.stdout.write(f"{stack.owner}\n")
    for service in stack.services:
        sys.stdout.write(f"{service.name:7} {service.address}  process {service.pid}  {service.detail}\n")
    sys.stdout.write(f"data     {stack.data_dir}\nsettings {stack.settings}\n")
    return 0 if all(service.answers for service in stack.services) else 1


def _read_runs() -> list[list[object]]:
    stack = detached.status(data_dir())
    ports = [service.address.rpartition(":")[2] for service in stack.services if service.name == "Trino"]
    if not ports:
        raise TerminalError("Trino does not run here; start it with `./databank up`")
    query = f"SELECT {', '.join(_RUN_COLUMNS)} FROM lake.ops.runs ORDER BY started_at DESC LIMIT {_LAST_RUNS}"
    try:
        with contextlib.closing(_connect(int(ports[0]))) as connection:
            return list(connection.cursor().execute(query).fetchall())
    except trino.exceptions.TrinoUserError as error:
        raise TerminalError(f"no runs can be shown: {error.message}; has a job run, or the demo?") from error
    except (trino.exceptions.Error, RequestException) as error:
        raise RetryableError(f"Trino did not answer: {error}") from error


def _connect(port: int) -> trino.dbapi.Connection:
    connection: trino.dbapi.Connection = trino.dbapi.connect(  # type: ignore[no-untyped-call] # it has no types
        host=LOOPBACK, port=port, user="databank"
    )
    return connection
