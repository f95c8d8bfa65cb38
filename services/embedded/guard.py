"""`python -S guard.py PARENT COMMAND...`: becomes COMMAND, and is killed by the system when the process PARENT ends.

A parent that dies by `kill -9` runs no clean-up; the kernel's parent-death signal does it. The signal survives exec.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    """Ask for the signal, then become the command; a parent that is gone already ends it here."""
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit("guard: prctl failed")
    if os.getppid() == parent:
        os.execv(command[0], command)  # noqa: S606 - the command is the caller's, no shell is wanted


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
