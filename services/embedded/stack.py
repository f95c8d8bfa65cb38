"""The stack as a context: started on entering, stopped in order on leaving, whatever the reason.

with EmbeddedStack(data_dir) as stack:
    stack.kafka_bootstrap, stack.trino_url, stack.settings_path
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from services.embedded import airflow, kafka, processes, settings_file, state, trino
from services.embedded.layout import Layout, prepare
from services.embedded.ports import LOOPBACK, free_ports, is_free, pick
from services.setup import paths
from services.setup.resolved import Resolved, environment, resolved
from spark_jobs.errors import RetryableError, TerminalError

CATALOGS = paths.REPO / "trino_catalog" / "catalogs"
# Nothing listens on the discard port: a service that was not asked for cannot be reached by mistake.
_NOWHERE_PORT = 9
_LOGS = {"kafka": kafka.log_file, "trino": trino.log_file, "airflow": airflow.log_file}


@dataclass(frozen=True, slots=True)
class Manner:
    """How a stack runs.

    `detached`: its services outlive the process that starts them, if it leaves them running. Without `waits` the block
    begins at once, and `wait` says when a service answers.
    """

    detached: bool = False
    waits: bool = True


class EmbeddedStack:
    """Kafka and Trino, or one of them, and Airflow if wanted, in `data_dir`; start it from the main thread."""

    def __init__(
        self,
        data_dir: Path,
        *,
        with_kafka: bool = True,
        with_trino: bool = True,
        with_airflow: bool = False,
        ports: state.Ports | None = None,
        manner: Manner = Manner(),
    ) -> None:
        """Which services; `ports` that are not asked for are the last ones, or free ones."""
        self._data_dir = data_dir
        asked = {"kafka": with_kafka, "trino": with_trino, "airflow": with_airflow}
        self._wanted = tuple(name for name, is_wanted in asked.items() if is_wanted)
        self._asked = ports or state.Ports()
        self._manner = manner
        self._children: list[processes.Child] = []
        self._ports = state.Ports()
        self._lock = -1
        self._old_handler: Callable[[int, FrameType | None], object] | int | None = None
        self.layout: Layout

    @property
    def kafka_bootstrap(self) -> str:
        """`host:port` of the broker."""
        return f"{LOOPBACK}:{self._ports.kafka or _NOWHERE_PORT}"

    @property
    def trino_url(self) -> str:
        """`http://host:port` of Trino."""
        return f"http://{LOOPBACK}:{self._ports.trino or _NOWHERE_PORT}"

    @property
    def airflow_url(self) -> str:
        """`http://host:port` of Airflow's web pages."""
        return f"http://{LOOPBACK}:{self._ports.airflow or _NOWHERE_PORT}"

    @property
    def settings_path(self) -> Path:
        """The settings file for jobs that use this stack."""
        return self.layout.settings

    def __enter__(self) -> Self:
        self._on_sigterm()
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def wait(self, *names: str) -> None:
        """Return when these services (`Kafka`, `Trino`, `Airflow`; default: all) answer, and Kafka has its topics.

        They start at the same time, so they are waited for at the same time.
        """
        bootstrap, port = self.kafka_bootstrap, self._ports.trino or _NOWHERE_PORT
        web_port = self._ports.airflow or _NOWHERE_PORT
        ready: dict[str, tuple[Callable[[], bool], float]] = {
            "Kafka": (lambda: kafka.answers(bootstrap), kafka.START_TIMEOUT_S),
            "Trino": (lambda: trino.answers(port), trino.START_TIMEOUT_S),
            "Airflow": (lambda: airflow.answers(web_port), airflow.START_TIMEOUT_S),
        }
        with ThreadPoolExecutor(max_workers=3) as pool:
            waiting = []
            for child in [child for child in self._children if not names or child.name in names]:
                answers, timeout_s = ready[child.name]
                waiting.append(pool.submit(processes.wait_until, child, answers, timeout_s=timeout_s))
            try:
                for one in waiting:
                    one.result()
            except BaseException:
                self._stop()  # ends the other wait at once
                raise
        if self._ports.kafka is not None and (not names or "Kafka" in names):
            kafka.ensure_topics(bootstrap)

    def leave_running(self) -> None:
        """Forget the processes: they stay when the context ends (`up`)."""
        for child in self._children:
            processes.let_go(child)
        self._children.clear()

    def _start(self) -> None:
        chosen = resolved()
        self.layout = prepare(self._data_dir)
        self._lock = _take_lock(self.layout)
        self._ports = self._choose_ports()
        commands = self._prepare(chosen)
        settings_file.write(self.layout, kafka=self.kafka_bootstrap, trino=self.trino_url, jars=chosen.spark_jars)
        for name, command in commands.items():
            self._children.append(self._spawn(name, command, chosen))
        state.write(self.layout, self._children, self._ports, detached=self._manner.detached)
        if self._manner.waits:
            self.wait()

    def _prepare(self, chosen: Resolved) -> dict[str, list[str]]:
        """The command of each service that is wanted, with its files written."""
        commands = {}
        if self._ports.kafka is not None:
            commands["kafka"] = kafka.prepare(
                chosen, self.layout, port=self._ports.kafka, controller_port=_other_port(self._ports)
            )
        if self._ports.trino is not None:
            variables = {"metastore_dir": str(self.layout.metastore)}
            commands["trino"] = trino.prepare(
                chosen, self.layout, port=self._ports.trino, catalogs=CATALOGS, variables=variables
            )
        if self._ports.airflow is not None:
            commands["airflow"] = airflow.prepare(chosen, self.layout, port=self._ports.airflow)
        return commands

    def _choose_ports(self) -> state.Ports:
        last = state.last_ports(self.layout)
        taken: dict[str, int] = {}
        for name in self._wanted:
            asked, before = getattr(self._asked, name), getattr(last, name)
            others = {other.capitalize(): port for other, port in taken.items()}
            taken[name] = pick(asked, before, program=name.capitalize(), others=others)
        return state.Ports(**taken)

    def _spawn(self, name: str, command: list[str], chosen: Resolved) -> processes.Child:
        return processes.start(
            name.capitalize(),
            command,
            log=_LOGS[name](self.layout),
            environment={**environment(chosen), "LC_ALL": "C.UTF-8"},
            lock=self._lock,
            dies_with_parent=not self._manner.detached,
        )

    def _stop(self) -> None:
        """Airflow first, which starts others; Trino, as it only reads; then Kafka, which writes its logs out."""
        children, self._children = self._children, []
        for child in reversed(children):
            processes.stop(child, timeout_s=state.STOP_TIMEOUTS_S[child.name.lower()])
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        if self._old_handler is not None:
            signal.signal(signal.SIGTERM, self._old_handler)
            self._old_handler = None

    def _on_sigterm(self) -> None:
        """Let SIGTERM leave the context as Ctrl-C does, unless the program has its own way."""
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._old_handler = signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _take_lock(layout: Layout) -> int:
    """An open file, locked; services inherit it, so it stays locked until the last of them has ended."""
    descriptor = os.open(layout.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise TerminalError(
            f"a stack runs already in {layout.root}: {state.who_runs(layout)}. "
            "Use it, stop it (`./databank down`), or choose another data directory"
        ) from None
    return descriptor


def _other_port(taken: state.Ports) -> int:
    """A free port for Kafka's controller, which only the broker itself calls."""
    while True:
        (port,) = free_ports(1)
        if port not in {taken.kafka, taken.trino} and is_free(port):
            return port


def wait_for_lock(layout: Layout, *, timeout_s: float) -> None:
    """Return once no process of the stack is left; RetryableError when one still holds on."""
    until = time.monotonic() + timeout_s
    while state.is_locked(layout):
        if time.monotonic() > until:
            raise RetryableError(f"processes of the stack in {layout.root} are still ending; try again")
        time.sleep(0.1)
