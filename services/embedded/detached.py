"""`up`, `status` and `down`: a stack that outlives the command that started it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.embedded import airflow, kafka, processes, state, trino
from services.embedded.layout import Layout
from services.embedded.ports import LOOPBACK
from services.embedded.stack import EmbeddedStack, Manner, wait_for_lock
from spark_jobs.errors import TerminalError


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """One service: its process, its address, and whether it does its work."""

    name: str
    pid: int
    address: str
    alive: bool
    answers: bool
    detail: str


@dataclass(frozen=True, slots=True)
class StackStatus:
    """The whole stack; `owner` says who started it, empty when nothing runs."""

    running: bool
    owner: str
    data_dir: str
    settings: str
    services: tuple[ServiceStatus, ...]


def up(data_dir: Path, ports: state.Ports, *, with_airflow: bool = False) -> StackStatus:
    """Start the stack and leave it running; one that runs already is only described."""
    layout = Layout(data_dir.resolve())
    if not state.is_locked(layout):
        with EmbeddedStack(data_dir, ports=ports, with_airflow=with_airflow, manner=Manner(detached=True)) as stack:
            stack.leave_running()
    found = status(data_dir)
    if with_airflow and not any(service.name == "Airflow" for service in found.services):
        raise TerminalError("the stack runs without Airflow; stop it (`./databank down`), then start it with --airflow")
    return found


def status(data_dir: Path) -> StackStatus:
    """Ask every service to work: the broker for its topics, Trino for a row, Airflow for its programs' health."""
    layout = Layout(data_dir.resolve())
    noted = state.read(layout) if state.is_locked(layout) else None
    if noted is None:
        return StackStatus(False, "", str(layout.root), str(layout.settings), ())
    services = tuple(_ask(child, noted.ports, layout) for child in noted.children)
    return StackStatus(True, state.who_runs(layout), str(layout.root), str(layout.settings), services)


def down(data_dir: Path) -> tuple[str, ...]:
    """Stop what runs, what uses others before these; names what was stopped, empty when nothing ran."""
    layout = Layout(data_dir.resolve())
    if not state.is_locked(layout):
        return ()
    noted = state.read(layout)
    if noted is None:
        raise TerminalError(f"a stack is just being started in {layout.root}; wait for it, then stop it")
    if not noted.detached and Path(f"/proc/{noted.owner}").exists():
        raise TerminalError(f"the stack belongs to process {noted.owner}, which stops it when it ends; stop that one")
    stopped = []
    for child in reversed(noted.children):
        if child.is_alive():
            by_itself = processes.stop(child, timeout_s=state.STOP_TIMEOUTS_S[child.name.lower()])
            stopped.append(child.name if by_itself else f"{child.name} (killed: it did not end by itself)")
    wait_for_lock(layout, timeout_s=10)
    return tuple(stopped)


def _ask(child: processes.Child, ports: state.Ports, layout: Layout) -> ServiceStatus:
    port = getattr(ports, child.name.lower())
    address = f"{LOOPBACK}:{port}" if child.name == "Kafka" else f"http://{LOOPBACK}:{port}"
    alive = child.is_alive()
    answering, detail = False, f"ended; its log is {child.log}"
    if alive and child.name == "Trino":
        answering = trino.answers(port)
        detail = "SELECT 1 answered" if answering else f"does not answer; its log is {child.log}"
    elif alive and child.name == "Airflow":
        answering = airflow.answers(port)
        login = f"log in as {airflow.USER}; the password stands in {airflow.password_file(layout)}"
        detail = login if answering else f"not all of it is healthy; its log is {child.log}"
    elif alive:
        answering = kafka.answers(address)
        detail = f"topics: {', '.join(kafka.topics(address))}" if answering else "does not answer"
    return ServiceStatus(child.name, child.identity.pid, address, alive, answering, detail)
