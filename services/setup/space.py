"""Room on the disk and rights on a folder, asked before anything is written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from spark_jobs.errors import TerminalError

_GB = 1_000_000_000


def require_writable(folder: Path) -> None:
    """Make `folder`; TerminalError when it cannot be made, read or written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TerminalError(
            f"folder {folder} cannot be made: {error.strerror}; make it, or choose another place"
        ) from error
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise TerminalError(f"folder {folder} is not readable and writable for this user; mend its owner or mode")


def require_free(folder: Path, needed_bytes: int, what: str) -> None:
    """TerminalError when fewer than `needed_bytes` are free where `folder` is, or will be made."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free_bytes = shutil.disk_usage(there).free
    if free_bytes < needed_bytes:
        raise TerminalError(
            f"no room for {what} in {folder}: found {free_bytes / _GB:.1f} GB free, "
            f"wanted {needed_bytes / _GB:.1f} GB; make room, or choose another place"
        )
