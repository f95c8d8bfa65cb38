"""`python -m trino_catalog.ask 'SELECT ...'`: asks Trino one question and prints the answer."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from spark_jobs.errors import ended
from spark_jobs.settings import load
from trino_catalog.connection import Answer, connected


def main(argv: list[str] | None = None) -> int:
    """0 where Trino answered."""
    parser = argparse.ArgumentParser(prog="python -m trino_catalog.ask", description=__doc__)
    parser.add_argument("statement", nargs="?", help="one statement; default: what --file or standard input says")
    parser.add_argument("--file", type=Path, help="a file with one statement")
    parser.add_argument("--format", choices=sorted(_WRITERS), default="table", help="default: %(default)s")
    parser.add_argument("--settings", metavar="FILE", help="default: the file that DATABANK_SETTINGS names")
    args = parser.parse_args(argv)
    return ended("trino_catalog.ask", lambda: _ask(args))


def _ask(args: argparse.Namespace) -> int:
    settings = load(args.settings)
    statement = args.statement or (args.file.read_text(encoding="utf-8") if args.file else sys.stdin.read())
    with connected(settings.trino_url, account=settings.trino_account) as trino:
        answer = trino.ask(statement.strip().removesuffix(";"))
    _WRITERS[args.format](answer)
    return 0


def _write_table(answer: Answer) -> None:
    table = Table(*answer.columns, box=None, pad_edge=False, header_style="bold")
    rows = [[_text(value) for value in row] for row in answer.rows]
    for row in rows:
        table.add_row(*row)
    # As wide as its values, which would be cut to a terminal's width; and what they hold is no markup.
    wide = sum(max(map(cell_len, column)) + 2 for column in zip(answer.columns, *rows, strict=True))
    Console(width=max(wide, 1), soft_wrap=True, markup=False, highlight=False).print(table)


def _write_csv(answer: Answer) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(answer.columns)
    writer.writerows([["" if value is None else _text(value) for value in row] for row in answer.rows])


def _write_json(answer: Answer) -> None:
    """A line per row, so that a stream of them can be read."""
    for row in answer.rows:
        found = dict(zip(answer.columns, row, strict=True))
        sys.stdout.write(json.dumps(found, default=_text, ensure_ascii=False) + "\n")


def _text(value: Any) -> str:  # noqa: ANN401 - whatever a column holds
    return value.hex() if isinstance(value, bytes) else "NULL" if value is None else str(value)


_WRITERS = {"table": _write_table, "csv": _write_csv, "json": _write_json}


if __name__ == "__main__":
    sys.exit(main())
