"""One test process at a time, with nothing left of it afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.setup import paths
from services.testing.tally import Tally, from_junit

MOST_S = 2700.0  # the slowest tier takes 1800: what hangs must be a failure with a name, and leave time
_GOODBYE_S = 120.0  # fixtures stop brokers and hosts


def run(command: Sequence[str], environment: Mapping[str, str], *, most_s: float | None = MOST_S) -> int:
    """Run to its end in a process group of its own; on Ctrl-C or after `most_s` it is interrupted, then ended."""
    with subprocess.Popen(
        list(command), cwd=paths.REPO, env=dict(environment), stdin=subprocess.DEVNULL, process_group=0
    ) as process:
        try:
            return process.wait(timeout=most_s)
        except BaseException as error:
            _signal_group(process.pid, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=_GOODBYE_S)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            sys.stdout.write(f"interrupted: it took more than {most_s:.0f} s\n")
            return 1
        finally:
            _signal_group(process.pid, signal.SIGKILL)  # whatever it left behind


def pytest(arguments: Sequence[str], environment: Mapping[str, str], *, most_s: float | None = MOST_S) -> Tally:
    """Run pytest with `arguments` and count."""
    with tempfile.TemporaryDirectory(prefix="databank-tests-") as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        status = run(command, environment, most_s=most_s)
        return from_junit(report, exit_status=status)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
