"""Ten business questions: each a file whose first line is its title, asked through the `trino` client."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trino_catalog.connection import Trino

FOLDER = Path(__file__).with_name("questions")


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with its answer."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


def ask_all(trino: Trino) -> list[Answered]:
    """Ask every question, in the order of the files' names."""
    return [_ask(path, trino) for path in sorted(FOLDER.glob("*.sql"))]


def _ask(path: Path, trino: Trino) -> Answered:
    sql = path.read_text(encoding="utf-8").strip()
    title = sql.splitlines()[0].removeprefix("--").strip()
    answer = trino.ask(sql)
    return Answered(path.stem, title, answer.columns, answer.rows)
