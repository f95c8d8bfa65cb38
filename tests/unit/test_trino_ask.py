"""An answer of Trino on the command line: as it is, in each of the formats."""

from __future__ import annotations

import json

import pytest

from trino_catalog import ask
from trino_catalog.connection import Answer

ANSWER = Answer(("name", "token", "sales"), (("[bold]a,b", b"\x00\xff", None), ("x" * 300, b"", 1)))


@pytest.mark.parametrize("kind", ["table", "csv", "json"])
def test_nothing_of_a_value_is_lost(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    ask._WRITERS[kind](ANSWER)
    said = capsys.readouterr().out
    assert "[bold]a,b" in said
    assert "00ff" in said
    assert "x" * 300 in said
    assert len(said.splitlines()) == (2 if kind == "json" else 3)


def test_null_is_told_from_text(capsys: pytest.CaptureFixture[str]) -> None:
    ask._write_json(ANSWER)
    assert json.loads(capsys.readouterr().out.splitlines()[0])["sales"] is None
    ask._write_csv(ANSWER)
    assert capsys.readouterr().out.splitlines()[1] == '"[bold]a,b",00ff,'
