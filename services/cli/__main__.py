"""`./databank`, second stage: everything is installed; do the verb, or become the process that does it."""

from __future__ import annotations

import os
import sys

from services.cli import arguments, local
from services.cli.arguments import Wanted
from services.setup import paths
from services.setup.resolved import Resolved, ensure, environment
from spark_jobs.errors import ended
from spark_jobs.settings import SETTINGS_VARIABLE


def main(argv: list[str] | None = None) -> int:
    """Do what the command line asks; its exit status tells whether to try again."""
    given = sys.argv[1:] if argv is None else argv
    wanted = arguments.parse(given)
    return ended(f"databank {wanted.verb}", lambda: _do(wanted))


def _do(wanted: Wanted) -> int:
    chosen = ensure()
    if wanted.module:
        return become(wanted, chosen)
    return local.VERBS[wanted.verb](wanted)


def become(wanted: Wanted, chosen: Resolved) -> int:
    """Replace this process: signals and the exit status are then the job's own."""
    child_environment = environment(chosen)
    child_environment.setdefault(SETTINGS_VARIABLE, str(paths.state_dir() / "data" / "settings.toml"))
    command = [sys.executable, "-P", "-m", *wanted.module, *wanted.rest]
    sys.stdout.flush()
    return os.execve(sys.executable, command, child_environment)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    sys.exit(main())
