"""The note of a running stack (`run/stack.json`) and the lock that tells whether it still holds."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from services.embedded import airflow, kafka, processes, trino
from services.embedded.layout import Layout
from spark_jobs.errors import TerminalError

FORMAT = 1
STOP_TIMEOUTS_S = {"kafka": kafka.STOP_TIMEOUT_S, "trino": trino.STOP_TIMEOUT_S, "airflow": airflow.STOP_TIMEOUT_S}


@dataclass(frozen=True, slots=True)
class Ports:
    """Loopback ports of the services; None for one that is not asked for, or does not run."""

    kafka: int | None = None
    trino: int | None = None
    airflow: int | None = None


@dataclass(frozen=True, slots=True)
class Noted:
    """What the note says: who started the stack and when, its services, their ports."""

    owner: int
    detached: bool
    started_at: str
    children: tuple[processes.Child, ...]
    ports: Ports


def write(layout: Layout, children: Sequence[processes.Child], ports: Ports, *, detached: bool) -> None:
    """Note the stack before it is waited for, so that a later command can find it whatever happens."""
    note = {
        "format": FORMAT,
        "owner": os.getpid(),
        "detached": detached,
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "services": {child.name: processes.to_note(child) for child in children},
        "ports": asdict(ports),
    }
    partial = layout.state.with_suffix(".partial")
    partial.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    partial.rename(layout.state)


def read(layout: Layout) -> Noted | None:
    """The note of the stack that runs or ran last; None when there was none; TerminalError when it is broken."""
    try:
        note: dict[str, Any] = json.loads(layout.state.read_text(encoding="utf-8"))
        children = tuple(processes.from_note(name, service) for name, service in note["services"].items())
        return Noted(note["owner"], note["detached"], note["started_at"], children, Ports(**note["ports"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TerminalError(
            f"{layout.state} cannot be read ({error}); if nothing of the stack runs any more, remove it"
        ) from error


def last_ports(layout: Layout) -> Ports:
    """The ports of the last stack, so that an address given to others stays the same."""
    try:
        noted = read(layout)
    except TerminalError:
        return Ports()
    return noted.ports if noted else Ports()


def is_locked(layout: Layout) -> bool:
    """True while a process of the stack lives."""
    try:
        descriptor = os.open(layout.lock, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def who_runs(layout: Layout) -> str:
    """The owner and the processes of the running stack, in words."""
    noted = read(layout)
    if noted is None:
        return "it is just being started"
    services = ", ".join(f"{child.name} is process {child.identity.pid}" for child in noted.children)
    owner = "started by `./databank up`" if noted.detached else f"started by process {noted.owner}"
    return f"{owner} at {noted.started_at}; {services}"
