"""The program that follows a workspace's events until a signal ends it, and a load's way to do the same for a while."""

from __future__ import annotations

import logging
import signal
import threading
import time
from contextlib import ExitStack
from functools import partial
from typing import Any

from kafka.errors import KafkaError

from services.live import metrics as measured
from services.live import progress
from services.live.metrics import Metrics
from services.live.sending import Sender
from services.live.service import Service
from services.live.topic import EventsTopic
from services.profiles import generations
from services.profiles.database import Database
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import Settings

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_CALM_S = 60.0  # what ran so long has found its feet
_LOOK_S = 0.2


def lock_of(workspace: str) -> str:
    """The name of the lock that whoever moves a workspace's live tags on holds."""
    return f"live-{workspace}"


def run(settings: Settings, database: Database, workspace: str, *, address: str | None = None) -> dict[str, Any]:
    """Follow until SIGTERM or SIGINT; facts. RetryableError where another process follows.

    Where broker or store are away, it tries again, for ever: how old answers get is seen in each of them. address: of
    the metrics, on loopback; None for none.
    """
    if settings.live is None or workspace not in settings.live.workspaces:
        raise TerminalError(f"live tags of {workspace} are not on; name it under workspaces of [live] in the settings")
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _received, _frame: stopping.set())
    known, read, pause, was_held = Metrics(workspace), 0, _FIRST_PAUSE_S, False
    with ExitStack() as held:
        if address:
            held.callback(measured.serve(known, address).shutdown)
        while not stopping.is_set():
            began = time.monotonic()
            try:
                # Anew each time: a store that went took the lock along.
                with database.exclusive(lock_of(workspace)):
                    was_held = True
                    read += _until_stopped(settings, database, workspace, metrics=known, stopping=stopping)
            except (RetryableError, KafkaError, OSError) as error:
                if not was_held:
                    raise
                log.warning("live tags wait: %s: %s", type(error).__name__, error)
                pause = min(pause * 2, _LONGEST_PAUSE_S) if time.monotonic() - began < _CALM_S else _FIRST_PAUSE_S
                stopping.wait(pause)
    return {"workspace": workspace, "messages": read}


def _until_stopped(
    settings: Settings, database: Database, workspace: str, *, metrics: Metrics, stopping: threading.Event
) -> int:
    sender = Sender(database, settings, workspace)
    service = Service(database, workspace, partial(EventsTopic, settings), metrics=metrics, sender=sender)
    read = 0
    try:
        while not stopping.is_set():
            read += service.turn()
    finally:
        service.close()
    return read


def hand_over(settings: Settings, database: Database, workspace: str, *, most_s: float) -> bool:
    """Let what waits be served: the service does it, or this process where none runs; whether it is, in time.

    RetryableError where broker or store are away; what waits stays. TerminalError where it can never be served.
    """
    waiting, until = progress.waiting_of(database, workspace), time.monotonic() + most_s
    while waiting is not None and time.monotonic() < until:
        with ExitStack() as held:
            try:
                held.enter_context(database.exclusive(lock_of(workspace)))
            except RetryableError:  # the service runs
                time.sleep(_LOOK_S)
            else:
                _hand_over(settings, database, workspace, until=until)
        pointer = generations.pointer_of(database, workspace)
        if pointer is not None and pointer.live_no == waiting.number:
            return True
    return waiting is None


def _hand_over(settings: Settings, database: Database, workspace: str, *, until: float) -> None:
    try:
        service = Service(database, workspace, partial(EventsTopic, settings), metrics=Metrics(workspace))
        try:
            while time.monotonic() < until and (waiting := progress.waiting_of(database, workspace)) is not None:
                service.turn()
                if (refused := service.refused.get(waiting.number)) is not None:
                    raise refused
        finally:
            service.close()
    except KafkaError as error:
        raise RetryableError(
            f"{workspace} is loaded and waits for its events: Kafka says {type(error).__name__}; start the load again, "
            "or load --without-live"
        ) from error
