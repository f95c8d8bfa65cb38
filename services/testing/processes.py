"""One test process at a time, with nothing left of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from services.setup import paths
from services.testing.tally import Tally, from_junit


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run to its end in a process group of its own; on Ctrl-C the group is interrupted, then ended."""
    with subprocess.Popen(
        list(command), cwd=paths.REPO, env=dict(environment), stdin=subprocess.DEVNULL, process_group=0
    ) as process:
        try:
            return process.wait()
        except BaseException:
            _signal_group(process.pid, signal.SIGINT)
            process.wait(timeout=60)
            raise
        finally:
            _signal_group(process.pid, signal.SIGKILL)  # whatever it left behind


def pytest(arguments: Sequence[str], environment: Mapping[str, str]) -> Tally:
    """Run pytest with `arguments` and count."""
    with tempfile.TemporaryDirectory(prefix="databank-tests-") as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *arguments]
        status = run(command, environment)
        return from_junit(report, exit_status=status)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
