"""The sizes that STYLE sets: modules under 300 lines, functions of 40 lines and six arguments at most, honest names."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from services.setup import paths

ROOTS = ("spark_jobs", "migration", "services", "trino_catalog", "dags", "bench", "tests")
MODULE_LINES = 300
FUNCTION_LINES = 40
ARGUMENTS = 6
REFUSED_NAMES = {"utils", "helpers", "common", "manager", "misc"}


def modules() -> Iterator[Path]:
    for root in ROOTS:
        yield from (paths.REPO / root).rglob("*.py")


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                yield f"{path.relative_to(paths.REPO)}:{node.lineno} {node.name}", node


def test_modules_stay_short() -> None:
    lengths = {str(path.relative_to(paths.REPO)): len(path.read_text().splitlines()) for path in modules()}
    assert {name: lines for name, lines in lengths.items() if lines >= MODULE_LINES} == {}


def test_functions_stay_short() -> None:
    lengths = {name: (node.end_lineno or 0) - node.lineno + 1 for name, node in functions()}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


def test_functions_take_few_arguments() -> None:
    counts = {}
    for name, node in functions():
        given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        counts[name] = len([argument for argument in given if argument.arg not in {"self", "cls"}])
    too_many = {name: count for name, count in counts.items() if count > ARGUMENTS and not name.startswith("tests/")}
    assert too_many == {}


def test_no_module_is_named_for_nothing() -> None:
    assert [path for path in modules() if path.stem in REFUSED_NAMES or path.parent.name in REFUSED_NAMES] == []
