"""The import fences name every package there is: a new one cannot stand outside them."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.setup import paths

FENCES: list[dict[str, Any]] = tomllib.loads((paths.REPO / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]
PACKAGES = {path.parent.name for path in (paths.REPO / "spark_jobs").glob("*/__init__.py")}
CAPABILITIES = {path.parent.name for path in (paths.REPO / "spark_jobs").glob("*/job.py")}
# What set-up may import before the virtual environment is there.
BEFORE_THE_ENVIRONMENT = (
    "__main__",
    "control",
    "java",
    "locking",
    "packages",
    "paths",
    "pip",
    "progress",
    "space",
    "venv",
)


def fence(start: str) -> dict[str, Any]:
    (found,) = [one for one in FENCES if one["name"].startswith(start)]
    return found


def test_capabilities_are_fenced_from_each_other() -> None:
    fenced = {name.removeprefix("spark_jobs.") for name in fence("capabilities do not")["modules"]}
    assert fenced >= CAPABILITIES


def test_capabilities_reach_storage_by_their_job_only() -> None:
    sources = {name.split(".")[1] for name in fence("inside a capability")["source_modules"]}
    assert sources >= CAPABILITIES


@pytest.mark.parametrize(
    ("start", "allowed"),
    [
        pytest.param("contracts import", {"contracts"}, id="contracts"),
        pytest.param("trino_catalog knows", {"contracts"}, id="trino_catalog"),
        pytest.param("the command line", {"contracts"}, id="services.cli"),
    ],
)
def test_light_packages_are_fenced_from_every_other(start: str, allowed: set[str]) -> None:
    forbidden = {name.removeprefix("spark_jobs.") for name in fence(start)["forbidden_modules"]}
    assert PACKAGES - allowed <= forbidden


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_contracts_import_the_standard_library_alone() -> None:
    for path in (paths.REPO / "spark_jobs" / "contracts").glob("*.py"):
        foreign = {
            name
            for name in imports_of(path)
            if name.partition(".")[0] not in sys.stdlib_module_names
            and not name.startswith(("spark_jobs.contracts", "spark_jobs.errors"))
        }
        assert not foreign, f"{path.name} imports {foreign}"


def test_a_dag_is_wiring_of_airflow_and_the_standard_library_alone() -> None:
    files = sorted((paths.REPO / "dags").rglob("*.py"))
    assert files
    beside = {path.stem for path in files if path.stem.startswith("_")}
    for path in files:
        allowed = {*sys.stdlib_module_names, "airflow", *beside}
        foreign = {name for name in imports_of(path) if name.partition(".")[0] not in allowed}
        assert not foreign, f"{path.name} imports {foreign}"


def test_one_module_alone_starts_what_tasks_run() -> None:
    starters = {"subprocess", "os.system", "os.execv", "airflow.providers.standard.operators.bash", "_child"}
    for path in (paths.REPO / "dags").rglob("*.py"):
        found = {name for name in imports_of(path) if name.startswith(tuple(starters))}
        assert not found or path.stem in {"_spark", "_child"}, f"{path.name} imports {found}"


def test_the_first_stage_of_setup_needs_no_installed_package() -> None:
    own = tuple(f"services.setup.{name}" for name in BEFORE_THE_ENVIRONMENT)
    allowed = (*own, "services.bundle.__main__", "services.cli.arguments", "spark_jobs.errors")
    for name in BEFORE_THE_ENVIRONMENT:
        foreign = {
            imported
            for imported in imports_of(paths.REPO / "services" / "setup" / f"{name}.py")
            if imported.partition(".")[0] not in sys.stdlib_module_names and not imported.startswith(allowed)
        }
        assert not foreign, f"{name}.py imports {foreign}"
