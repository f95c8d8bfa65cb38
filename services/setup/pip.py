"""Locked packages: fetched into the cache a few at a time, so that an interruption loses little; then installed."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.setup import paths
from services.setup.progress import say
from spark_jobs.errors import RetryableError

_CHUNK = 8
_TAIL_LINES = 12
_REQUIREMENT = re.compile(r"^(?=[A-Za-z0-9])", re.MULTILINE)
_BIG = re.compile(r"^Downloading .*\((?:\d{2,}\.\d|\d{3,}) MB\)")


def install(python: Path, lock: str, options: Sequence[str] = ()) -> None:
    """Install exactly what the lock file says into the environment of `python`; every file is held to its hash."""
    store = paths.cache_dir() / "packages"
    store.mkdir(parents=True, exist_ok=True)
    text = (paths.REPO / lock).read_text(encoding="utf-8")
    fetched = _fetch(python, text, store, options)
    command = ["install", "--no-index", f"--find-links={store}", "--require-hashes", "--no-deps", *options]
    say(f"installing the packages of {lock}")
    try:
        _run(python, [*command, "-r", str(paths.REPO / lock)])
    except RetryableError:
        for note in fetched:
            note.unlink(missing_ok=True)  # a file of the cache may be gone or damaged: look at all of them again
        raise


def chunks(lock_text: str, size: int = _CHUNK) -> Iterator[str]:
    """The lock file in parts of `size` requirements, each with its hashes; a big one stands alone."""
    requirements = [part for part in _REQUIREMENT.split(lock_text) if part.strip() and not part.startswith("#")]
    big = [part for part in requirements if part.startswith("pyspark==")]
    others = [part for part in requirements if part not in big]
    for start in range(0, len(others), size):
        yield "".join(others[start : start + size])
    yield from big


def _fetch(python: Path, lock_text: str, store: Path, options: Sequence[str]) -> list[Path]:
    """Bring every requirement into `store`; the notes of what is complete."""
    parts = list(chunks(lock_text))
    notes = []
    for number, part in enumerate(parts, start=1):
        digest = hashlib.sha256(f"{sys.version_info[:2]}\0{part}".encode()).hexdigest()[:16]
        note = store / f"{digest}.complete"
        notes.append(note)
        if note.exists():
            continue
        say(f"fetching Python packages, part {number} of {len(parts)}: {', '.join(_names(part))}")
        wanted = store / f"{digest}.txt"
        wanted.write_text(part, encoding="utf-8")
        _run(python, ["download", "--require-hashes", "--no-deps", *options, f"--dest={store}", "-r", str(wanted)])
        wanted.rename(note)
    return notes


def _names(part: str) -> list[str]:
    return re.findall(r"^([A-Za-z0-9][\w.-]*)==", part, re.MULTILINE)


def _run(python: Path, arguments: Sequence[str]) -> None:
    command = [str(python), "-m", "pip", *arguments, "--no-input"]
    environment = {
        **os.environ,
        "PIP_CACHE_DIR": str(paths.cache_dir() / "pip"),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    environment.pop("PYTHONPATH", None)
    # On a terminal pip draws its own bars; elsewhere only the big downloads are worth a line.
    output = None if sys.stderr.isatty() else subprocess.PIPE
    said: list[str] = []
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
        text=True,
        close_fds=False,  # it holds the lock of set-up
    ) as process:
        for line in process.stdout or ():
            said.append(line.rstrip())
            if _BIG.match(line.strip()):
                say(line.strip())
    if process.returncode:
        tail = "\n  ".join(said[-_TAIL_LINES:])
        raise RetryableError(
            f"pip could not {arguments[0]} the locked packages. It said:\n  {tail}\n"
            "Check the network and `pip config list`, then run the same command again: what is complete is kept"
        )
