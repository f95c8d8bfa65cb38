"""The failures that the platform reports: each message says what was found, what was wanted and what to do."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable

INTERRUPTED = 130


class PlatformError(Exception):
    """A failure that the platform understood; its text is meant for the operator."""


class TerminalError(PlatformError):
    """Repeating the same call cannot succeed; a person must change something first."""


class RetryableError(PlatformError):
    """The same call may succeed later, unchanged."""


def exit_status(error: PlatformError) -> int:
    """The exit status that tells a scheduler whether to try again: 75 (EX_TEMPFAIL) or 1."""
    return os.EX_TEMPFAIL if isinstance(error, RetryableError) else 1


def ended(program: str, act: Callable[[], int], *, when_interrupted: str = "interrupted") -> int:
    """Do a program's work; whatever fails becomes one message on standard error and an exit status.

    Out: what `act` returned, or 1 (a person must change something), 75 (try again), 70 (a defect; its trace is
    printed, because only we can mend it) or 130 (interrupted).
    """
    try:
        return act()
    except PlatformError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return exit_status(error)
    except KeyboardInterrupt:
        sys.stderr.write(f"{program}: {when_interrupted}\n")
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a program's last line of defence
        known = of_system(error) if isinstance(error, OSError) else None
        if known is None:
            traceback.print_exc()
            sys.stderr.write(f"{program}: a failure that nobody expected; please report it with the lines above\n")
            return os.EX_SOFTWARE
        sys.stderr.write(f"{program}: {known}\n")
        return exit_status(known)


_REMEDIES = {
    errno.ENOSPC: "make room there, then start it again",
    errno.EDQUOT: "raise the quota or make room there, then start it again",
    errno.EACCES: "mend its owner or mode, then start it again",
    errno.EPERM: "mend its owner or mode, then start it again",
    errno.EROFS: "mount it writable, or choose another place",
    errno.ENOENT: "check the path, then start it again",
    errno.EIO: "look at the disk (`dmesg`), then start it again",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`), then start it again",
}


def of_system(error: OSError) -> PlatformError | None:
    """What the operating system refused, with its remedy; None for an error that only looks like one of its own."""
    if isinstance(error, (ConnectionError, TimeoutError)):
        return RetryableError(f"{error}; is what it asks running and reachable?")
    if error.errno is None:
        return None
    where = f" ({error.filename})" if error.filename else ""
    remedy = _REMEDIES.get(error.errno, "mend that, then start it again")
    return TerminalError(f"the system says: {error.strerror}{where}; {remedy}")
