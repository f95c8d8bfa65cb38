"""Where set-up keeps things: the checkout's state folder and the user's artifact cache."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
CACHE_VARIABLE = "DATABANK_CACHE"


def state_dir() -> Path:
    """Everything that set-up and the embedded stack produce: `.databank` of the checkout."""
    return REPO / ".databank"


def venv_dir() -> Path:
    """The virtual environment of every verb."""
    return state_dir() / "venv"


def airflow_venv_dir() -> Path:
    """The virtual environment of Airflow, made where it is asked for."""
    return state_dir() / "airflow-venv"


def cache_dir() -> Path:
    """Downloads, shared by all checkouts of this user: DATABANK_CACHE, else the XDG cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given).expanduser().resolve()
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "databank"


def release_file(version: str | None = None) -> Path:
    """The one list of artifacts of a release, by default of the one that this checkout is."""
    if version:
        return REPO / "ansible" / "releases" / f"{version}.yml"
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return REPO / "ansible" / "releases" / f"{project['version']}.yml"
