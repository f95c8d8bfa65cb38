"""The environment of the appliance's control node, made of an unpacked bundle's wheels; no connection is opened."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from services.setup import paths
from services.setup.progress import say
from spark_jobs.errors import TerminalError

_WHEELS = paths.REPO / "bundle" / "wheels"


def is_bundle() -> bool:
    """True where this folder is an unpacked bundle and no checkout."""
    return (paths.REPO / "bundle" / "manifest.json").exists()


def ensure() -> Path:
    """The environment's Python; made anew where the wheels are others than the ones it was made of."""
    folder = paths.state_dir() / "control"
    python, marker = folder / "bin" / "python", folder / ".complete"
    wheels = sorted(_WHEELS.glob("*.whl"))
    wanted = hashlib.sha256("\n".join(wheel.name for wheel in wheels).encode()).hexdigest()
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return python
    say(f"making the control node's environment of {len(wheels)} wheels in {folder}")
    uv = [str(_uv(wheels)), "--offline", "--no-config", "--no-cache", "--quiet"]
    _run([*uv, "venv", "--clear", "--no-python-downloads", "--python", sys.executable, str(folder)])
    _run([*uv, "pip", "install", "--python", str(python), "--no-index", "--no-deps", *map(str, wheels)])
    marker.write_text(wanted, encoding="utf-8")
    return python


def _uv(wheels: list[Path]) -> Path:
    """The program out of its wheel: neither pip nor Debian's package of venv is needed."""
    found = [wheel for wheel in wheels if wheel.name.startswith("uv-")]
    if not found:
        raise TerminalError(f"{_WHEELS} holds no wheel of uv; unpack the bundle again")
    target = paths.state_dir() / "uv"
    with zipfile.ZipFile(found[0]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        target.write_bytes(archive.read(name))
    target.chmod(0o755)
    return target


def _run(command: list[str]) -> None:
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if finished.returncode:
        raise TerminalError(f"the environment cannot be made:\n  {finished.stderr.strip()[-600:]}")
