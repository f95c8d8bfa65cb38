"""The failures that the platform reports: each message says what was found, what was wanted and what to do."""

from __future__ import annotations

import os


class PlatformError(Exception):
    """A failure that the platform understood; its text is meant for the operator."""


class TerminalError(PlatformError):
    """Repeating the same call cannot succeed; a person must change something first."""


class RetryableError(PlatformError):
    """The same call may succeed later, unchanged."""


def exit_status(error: PlatformError) -> int:
    """The exit status that tells a scheduler whether to try again: 75 (EX_TEMPFAIL) or 1."""
    return os.EX_TEMPFAIL if isinstance(error, RetryableError) else 1
