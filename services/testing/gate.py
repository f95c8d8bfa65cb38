"""The gate: formatter, linter, types, import fences, YAML; each is one check."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.setup import paths

_PYTHON_ROOTS = ("spark_jobs", "migration", "services", "trino_catalog", "dags", "bench", "tests")
_YAML_ROOTS = ("ansible", "spark_jobs", "migration", "services", "tests")


def checks() -> Iterator[tuple[str, Sequence[str]]]:
    """Name and command of every check that has something to look at."""
    roots = [root for root in _PYTHON_ROOTS if any((paths.REPO / root).rglob("*.py"))]
    yield "ruff format", [_tool("ruff"), "format", "--check", "--quiet", "."]
    yield "ruff", [_tool("ruff"), "check", "--quiet", "."]
    yield "mypy", [_tool("mypy"), "--no-error-summary", *roots]
    yield "import fences", [_tool("lint-imports"), "--no-cache"]
    yaml_roots = [root for root in _YAML_ROOTS if any(_yaml_files(paths.REPO / root))]
    yield "yamllint", [_tool("yamllint"), "--strict", *yaml_roots]
    if any((paths.REPO / "ansible").glob("roles/*")):
        settings = f"ANSIBLE_CONFIG={paths.REPO / 'ansible' / 'ansible.cfg'}"  # says where roles are
        lint = [_tool("ansible-lint"), "--offline", "--profile", "production", "ansible"]
        yield "ansible-lint", ["env", settings, *lint]


def _yaml_files(root: Path) -> Iterator[Path]:
    yield from root.rglob("*.yml")
    yield from root.rglob("*.yaml")


def _tool(name: str) -> str:
    """The environment's own tool, whatever PATH says."""
    return str(Path(sys.executable).with_name(name))
