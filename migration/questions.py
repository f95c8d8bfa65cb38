"""The questions of a shadow run, in a file that is checked whole before anything is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from migration.documents import key_problems, read_yaml
from spark_jobs.errors import TerminalError


@dataclass(frozen=True, slots=True)
class Question:
    """One query over the relation `purchases`, which stands for the view's old or new definition."""

    name: str
    sql: str


def load_questions(path: Path) -> tuple[Question, ...]:
    """The questions of a YAML file; every problem of it in one message."""
    given = read_yaml(path)
    problems = key_problems(str(path), given, {"queries": (list, True)})
    wanted: dict[str, tuple[type, bool]] = {"name": (str, True), "sql": (str, True)}
    items = [] if problems else given["queries"]
    for number, item in enumerate(items, start=1):
        problems += key_problems(f"{path}: query {number}", item, wanted)
    if problems or not items:
        raise TerminalError("; ".join(problems) or f"{path} holds no query; a shadow run must ask something")
    names = [item["name"] for item in items]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise TerminalError(f"{path}: {', '.join(twice)} names more than one query; give each its own name")
    return tuple(Question(item["name"], item["sql"]) for item in items)
