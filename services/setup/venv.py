"""The virtual environment, exactly as the lock files say; nothing unhashed is ever downloaded."""

from __future__ import annotations

import hashlib
import shutil
import sys
import venv
from pathlib import Path

from services.setup import paths, pip
from services.setup.progress import say
from services.setup.space import require_free

# What the environment and the cache of packages take together on first use.
_NEEDED_BYTES = 4_000_000_000


def python() -> Path:
    """The environment's interpreter."""
    return paths.venv_dir() / "bin" / "python"


def ensure() -> None:
    """Make the environment, or bring it to the lock files; at once when it is as they say."""
    marker = paths.venv_dir() / ".complete"
    wanted = _stamp()
    if python().exists() and marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return
    if not marker.exists() or not python().exists() or not marker.read_text(encoding="utf-8").startswith(_version()):
        _create()
    marker.unlink(missing_ok=True)  # an interrupted installation is started afresh
    pip.install(python(), "requirements-build.lock")
    # The build tools are installed and locked by now: isolation would download them again, without hashes.
    pip.install(python(), "requirements.lock", ["--no-build-isolation"])
    _link_checkout()
    marker.write_text(wanted, encoding="utf-8")


def _create() -> None:
    require_free(paths.state_dir(), _NEEDED_BYTES, "the Python packages")
    if paths.venv_dir().exists():
        say("removing an unfinished virtual environment")
        shutil.rmtree(paths.venv_dir())
    say(f"making a virtual environment with Python {_version()} in {paths.venv_dir()}")
    venv.EnvBuilder(with_pip=True, symlinks=True).create(paths.venv_dir())


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _stamp() -> str:
    """Python version and the hash of both lock files."""
    digest = hashlib.sha256()
    for name in ("requirements-build.lock", "requirements.lock"):
        digest.update((paths.REPO / name).read_bytes())
    return f"{_version()} {digest.hexdigest()}\n"


def _link_checkout() -> None:
    """Make the checkout importable in the environment, Spark's Python workers included."""
    (site_packages,) = (paths.venv_dir() / "lib").glob("python*/site-packages")
    (site_packages / "databank.pth").write_text(f"{paths.REPO}\n", encoding="utf-8")
