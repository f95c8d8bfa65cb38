"""Ten business questions, each a file whose first line is its title, and what ingest counted; through `trino`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trino_catalog.connection import Trino

FOLDER = Path(__file__).with_name("questions")
PLACES = ("read", "good", "quarantined", "duplicate")


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


def ask_ingested(trino: Trino) -> dict[str, int]:
    """Where the live messages went, as ingest has counted them: read = good + quarantined + duplicate."""
    counts = trino.ask(
        """SELECT coalesce(sum(rows_in), 0), coalesce(sum(rows_out), 0), coalesce(sum(rows_quarantined), 0),
            coalesce(sum(rows_duplicate), 0)
        FROM lake.ops.runs WHERE job = 'ingest'"""
    ).one()
    return dict(zip(PLACES, map(int, counts), strict=True))


def _ask(path: Path, trino: Trino) -> Answered:
    sql = path.read_text(encoding="utf-8").strip()
    title = sql.splitlines()[0].removeprefix("--").strip()
    answer = trino.ask(sql)
    return Answered(path.stem, title, answer.columns, answer.rows)
