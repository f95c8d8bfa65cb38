"""What works on a migration: versions for its report and for every step."""

from __future__ import annotations

import importlib.metadata
import platform
import tomllib
from pathlib import Path

_PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
_PACKAGES = {"spark": "pyspark", "delta": "delta-spark"}


def program() -> str:
    """The release that runs."""
    return str(tomllib.loads(_PROJECT.read_text(encoding="utf-8"))["project"]["version"])


def versions() -> dict[str, str]:
    """Program, Spark, Delta, Python."""
    packages = {name: importlib.metadata.version(package) for name, package in _PACKAGES.items()}
    return {"program": program(), **packages, "python": platform.python_version()}
