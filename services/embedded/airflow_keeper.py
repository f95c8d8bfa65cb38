"""`python -m services.embedded.airflow_keeper PYTHON DATA_DIR`: makes Airflow ready, then keeps its programs running.

What systemd does on a cluster: a program that ends is started again; all end with this process, however it ends.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from services.embedded import airflow, processes
from services.embedded.layout import Layout
from services.setup import paths
from spark_jobs.errors import RetryableError, ended

log = logging.getLogger("airflow_keeper")

AGAIN_AFTER_S = 2.0
STOP_S = 20.0  # a task that runs gets the signal too, and ends its program
_FIRST = Path(__file__).with_name("airflow_first.py")
_ACCOUNTS = paths.REPO / "ansible" / "roles" / "airflow" / "files" / "accounts.py"


def main(argv: list[str]) -> int:
    """Return when asked to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, _interrupt)
    layout = Layout(Path(argv[1]))
    return ended("airflow", lambda: _keep(argv[0], layout))


def _keep(python: str, layout: Layout) -> int:
    told = airflow.environment_of_programs(layout)
    make_ready(python, layout, told)
    running: dict[str, processes.Child] = {}
    try:
        while True:
            for name, arguments in airflow.DAEMONS.items():
                if name not in running or not running[name].is_alive():
                    if name in running:
                        log.warning("%s ended; starting it again", name)
                        time.sleep(AGAIN_AFTER_S)
                    running[name] = _started(name, [python, "-m", "airflow", *arguments], layout, told)
            time.sleep(0.5)
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(running)


def make_ready(python: str, layout: Layout, told: Mapping[str, str]) -> None:
    """Bring database, account and pool to what they shall be, in one process of Airflow's own."""
    given = {"ACCOUNTS": str(_ACCOUNTS), "SLOTS": str(airflow.SPARK_SLOTS), "LOGIN": airflow.USER}
    password = airflow.password_file(layout).read_text(encoding="utf-8").strip()
    command = [python, "-P", str(_FIRST), str(airflow.home(layout) / "ready")]
    finished = subprocess.run(
        command, env={**told, **given}, input=password, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    log.info("made ready: %s", finished.stdout[-4000:])
    if finished.returncode:
        raise RetryableError(f"Airflow's database could not be made ready: {finished.stdout.strip()[-600:]}")


def _started(name: str, command: list[str], layout: Layout, told: Mapping[str, str]) -> processes.Child:
    lock = os.open(os.devnull, os.O_RDONLY)
    try:
        where = layout.logs / f"airflow-{name}.log"
        return processes.start(name, command, log=where, environment=told, lock=lock, dies_with_parent=True)
    finally:
        os.close(lock)


def _stop(running: Mapping[str, processes.Child]) -> None:
    """Ask all at once, the scheduler's workers too; insist after a while."""
    for child in running.values():
        if child.is_alive():
            os.killpg(child.identity.pid, signal.SIGTERM)
    until = time.monotonic() + STOP_S
    for child in running.values():
        while child.is_alive() and time.monotonic() < until:
            time.sleep(0.1)
        if child.is_alive():
            os.killpg(child.identity.pid, signal.SIGKILL)
            processes.stop(child, timeout_s=1)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
