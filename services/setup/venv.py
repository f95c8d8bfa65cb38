"""The virtual environments, exactly as the lock files say; nothing unhashed is ever downloaded."""

from __future__ import annotations

import hashlib
import shutil
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

from services.setup import paths, pip
from services.setup.progress import say
from services.setup.space import require_free


@dataclass(frozen=True, slots=True)
class Environment:
    """One environment: its folder, the lock files it is made of, the room it takes with its downloads in bytes."""

    folder: Path
    locks: tuple[str, ...]
    needed_bytes: int
    has_checkout: bool  # whether the checkout can be imported in it, by Spark's Python workers as well

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"


def platform() -> Environment:
    """The environment of every verb. Its build tools are locked and installed first."""
    return Environment(paths.venv_dir(), ("requirements-build.lock", "requirements.lock"), 4_000_000_000, True)


def airflow() -> Environment:
    """Airflow's own: it wants other versions than the platform."""
    return Environment(paths.airflow_venv_dir(), ("ansible/python/airflow.lock",), 1_000_000_000, False)


def ensure(environment: Environment) -> None:
    """Make the environment, or bring it to the lock files; at once when it is as they say."""
    marker = environment.folder / ".complete"
    wanted = _stamp(environment)
    is_there = environment.python.exists() and marker.exists()
    found = marker.read_text(encoding="utf-8") if is_there else ""
    if found == wanted:
        return
    if not found.startswith(f"{_version()} "):
        _create(environment)
    marker.unlink(missing_ok=True)  # an interrupted installation is started afresh
    for lock in environment.locks:
        # The build tools are installed and locked by now: isolation would download them again, without hashes.
        pip.install(environment.python, lock, ["--no-build-isolation"])
    if environment.has_checkout:
        _link_checkout(environment.folder)
    marker.write_text(wanted, encoding="utf-8")


def _create(environment: Environment) -> None:
    require_free(paths.state_dir(), environment.needed_bytes, "the Python packages")
    if environment.folder.exists():
        say("removing an unfinished virtual environment")
        shutil.rmtree(environment.folder)
    say(f"making a virtual environment with Python {_version()} in {environment.folder}")
    venv.EnvBuilder(with_pip=True, symlinks=True).create(environment.folder)


def _version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _stamp(environment: Environment) -> str:
    """Python version and the hash of the lock files."""
    digest = hashlib.sha256()
    for name in environment.locks:
        digest.update((paths.REPO / name).read_bytes())
    return f"{_version()} {digest.hexdigest()}\n"


def _link_checkout(folder: Path) -> None:
    (site_packages,) = (folder / "lib").glob("python*/site-packages")
    (site_packages / "databank.pth").write_text(f"{paths.REPO}\n", encoding="utf-8")
