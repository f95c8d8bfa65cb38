"""Wheels of a lock file for the target's Python; what comes as source only is built inside the Debian root."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from services.bundle.debian import DebianRoot
from services.setup.progress import say

_WHERE = "/build"
_SOURCES = (".tar.gz", ".zip")
_REQUIREMENT = re.compile(r"^[A-Za-z0-9][\w.-]*==", re.MULTILINE)


def fetch(root: DebianRoot, lock: Path, store: Path) -> list[Path]:
    """The wheels that the lock file means, in `store`; each download is held to its hash, and made once."""
    own = store / lock.stem
    note, text = own / ".complete", lock.read_text(encoding="utf-8")
    if not (note.exists() and note.read_text(encoding="utf-8") == text):
        say(f"fetching the wheels of {lock.name}: {len(_REQUIREMENT.findall(text))} packages")
        shutil.rmtree(own, ignore_errors=True)
        own.mkdir(parents=True)
        _fetch(root, lock, own)
        note.write_text(text, encoding="utf-8")
    return sorted(own.glob("*.whl"))


def _fetch(root: DebianRoot, lock: Path, own: Path) -> None:
    scratch = root.path / _WHERE.lstrip("/")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    shutil.copy(lock, scratch / "lock.txt")
    pip = ["python3", "-m", "pip"]
    options = ["--no-deps", "--no-build-isolation", "--no-input", "--quiet", "--disable-pip-version-check"]
    root.run([*pip, "download", *options, "--require-hashes", "-r", "lock.txt", "-d", "."], where=_WHERE)
    for source in [path for path in sorted(scratch.iterdir()) if path.name.endswith(_SOURCES)]:
        say(f"building {source.name}")
        root.run([*pip, "wheel", *options, "--no-index", source.name], where=_WHERE)
    for wheel in scratch.glob("*.whl"):
        shutil.move(wheel, own / wheel.name)
    shutil.rmtree(scratch)
