"""First stage of every verb, on the system's Python: the standard library only, until the environment is there."""

from __future__ import annotations

import os
import sys

from services.bundle import __main__ as bundle
from services.cli import arguments
from services.cli.arguments import Wanted
from services.setup import control, packages, paths, venv
from services.setup.locking import exclusive
from services.setup.space import require_writable
from spark_jobs.errors import TerminalError, ended


def main(argv: list[str]) -> int:
    """Check the verb, set up, hand over to the environment's Python; returns only when that failed."""
    wanted = arguments.parse(argv)  # help and mistakes are answered before anything is downloaded
    if wanted.verb == "bundle" and wanted.rest[:1] == ("verify",):
        return bundle.main(list(wanted.rest))  # needs nothing but the bundle
    return ended("databank", lambda: _hand_over(wanted, argv), when_interrupted="interrupted; the next run goes on")


def _hand_over(wanted: Wanted, argv: list[str]) -> int:
    require_writable(paths.state_dir())
    if control.is_bundle():
        return _from_bundle(wanted)
    require_writable(paths.cache_dir())
    with exclusive(paths.state_dir() / "setup.lock", "set-up"):
        if not _is_set_up(for_tests=wanted.verb == "test"):
            packages.ensure(for_tests=wanted.verb == "test")
        venv.ensure(venv.platform())
        if _needs_airflow(wanted):
            venv.ensure(venv.airflow())
    interpreter = str(venv.platform().python)
    command = [interpreter, "-P", "-m", "services.cli", *argv]
    return os.execv(interpreter, command)  # noqa: S606 - the same verb, on the environment's Python


def _from_bundle(wanted: Wanted) -> int:
    """A bundle runs the cluster's verbs; what it holds for other verbs is for the hosts."""
    if wanted.verb != "cluster":
        raise TerminalError(f"this is an unpacked bundle: it has the verbs `cluster` and `bundle`, not `{wanted.verb}`")
    with exclusive(paths.state_dir() / "setup.lock", "set-up"):
        python = str(control.ensure())
    command = [python, "-P", "-m", *wanted.module, *wanted.rest]
    return os.execv(python, command)  # noqa: S606 - the same verb, on the environment's Python


def _needs_airflow(wanted: Wanted) -> bool:
    is_tested = wanted.verb == "test" and (not wanted.tiers or "airflow" in wanted.tiers)
    return wanted.airflow or is_tested


def _is_set_up(*, for_tests: bool) -> bool:
    """True once a whole set-up has ended here: then the packages need no second look."""
    return (paths.state_dir() / "setup.json").exists() and not (for_tests and packages.missing_for_tests())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
