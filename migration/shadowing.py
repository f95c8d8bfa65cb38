"""Shadow: the same questions to the old side and to the new one, before any reader is switched; equal or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from migration.documents import key_problems, read_yaml
from migration.jobfile import Switch
from migration.views import view_query
from spark_jobs.errors import TerminalError
from trino_catalog.connection import Trino

SHOWN = 5
RELATION = "purchases"


@dataclass(frozen=True, slots=True)
class Question:
    """One query over the relation `purchases`, which stands for the view's old or new definition."""

    name: str
    sql: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What both sides said: rows of the old side, and the rows that only one side has (at most SHOWN of each)."""

    name: str
    rows: int
    only_old: tuple[Any, ...]
    only_new: tuple[Any, ...]

    @property
    def is_equal(self) -> bool:
        """True where both sides gave the same rows."""
        return not self.only_old and not self.only_new


def load_questions(path: Path) -> list[Question]:
    """The questions of a YAML file; every problem of it in one message."""
    given = read_yaml(path)
    problems = key_problems(str(path), given, {"queries": (list, True)})
    wanted: dict[str, tuple[type, bool]] = {"name": (str, True), "sql": (str, True)}
    items = [] if problems else given["queries"]
    for number, item in enumerate(items, start=1):
        problems += key_problems(f"{path}: query {number}", item, wanted)
    if problems or not items:
        raise TerminalError("; ".join(problems) or f"{path} holds no query; a shadow run must ask something")
    return [Question(item["name"], item["sql"]) for item in items]


def compare(client: Trino, switch: Switch, questions: Sequence[Question]) -> list[Answer]:
    """Ask both sides every question; rows are compared exactly, as many times as they come, in any order."""
    old, new = view_query(switch.old), view_query(switch.new)
    return [_answer(question, _ask(client, old, question), _ask(client, new, question)) for question in questions]


def _ask(client: Trino, query: str, question: Question) -> Sequence[Sequence[Any]]:
    sql = question.sql.rstrip().rstrip(";")
    return client.ask(f"WITH {RELATION} AS (\n{query}\n)\n{sql}").rows


def _answer(question: Question, old: Sequence[Sequence[Any]], new: Sequence[Sequence[Any]]) -> Answer:
    left, right = Counter(map(repr, map(tuple, old))), Counter(map(repr, map(tuple, new)))
    return Answer(question.name, len(old), _shown(left - right), _shown(right - left))


def _shown(rows: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(rows.elements())[:SHOWN])


def check_equal(answers: Sequence[Answer]) -> None:
    """Raise TerminalError with the differences of every question that both sides answer differently."""
    different = [answer for answer in answers if not answer.is_equal]
    if different:
        lines = [f"  {a.name}: only old {list(a.only_old)}, only new {list(a.only_new)}" for a in different]
        raise TerminalError(
            "\n".join([f"{len(different)} of {len(answers)} shadow queries differ; nothing was switched:", *lines])
        )
