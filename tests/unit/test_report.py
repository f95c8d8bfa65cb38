"""The page at the demo's end: what it says, that it asks nobody, that nothing is put into it unescaped."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from services.demo import charts, summary
from services.demo.asking import Answered
from services.demo.options import Options
from services.demo.proof import Check
from services.demo.report import page, write
from services.demo.run import Outcome
from services.setup import paths
from spark_jobs.errors import TerminalError

STAGE = {"events": 10, "right": 9, "wrong": 0, "anonymous": 1}
PAIRS = ("precision", "recall", "recall_of_provable", "pairs_right", "pairs_predicted", "pairs_true", "mapped")


def outcome(home: Path, *, found: str = "1469307") -> Outcome:
    result = Outcome(Options(home, 1.0, 7, plants_missing_row=False))
    result.expected = {"live": {"messages": 112067, "quarantined": {"not UTF-8": 2}}}
    result.migration = {"read": 12, "good": 10, "quarantined": 1, "duplicate": 1}
    result.live = {"sent": 112067}
    result.ingested = {"read": 111000, "good": 109970, "quarantined": 31, "duplicate": 999}
    result.batch = {"tags": {"populations": {"silent": {"true": 300}}}}
    result.answers = [Answered("1", "Sales <script>", ("month", "sales"), (("2017-01", 12345),))]
    result.checks = [Check("lines", "1469307", found), Check("sales 2017-01", "10.50", "10.50")]
    result.quality = {"identifiers": dict.fromkeys(PAIRS, 1), "events": {"before_login": STAGE}}
    return result


def test_the_page_says_whether_every_figure_is_equal(tmp_path: Path) -> None:
    assert "Every figure is equal" in page(outcome(tmp_path))
    red = page(outcome(tmp_path, found="1469306"))
    assert "Figures differ" in red
    assert "DIFFERENT" in red


def test_numbers_are_grouped_and_text_is_escaped(tmp_path: Path) -> None:
    text = page(outcome(tmp_path))
    assert "1,469,307" in text
    assert "<script>" not in text
    assert '<th class="number">sales</th>' in text


def test_live_messages_are_shown_as_they_were_counted_not_as_they_were_planned(tmp_path: Path) -> None:
    measured = outcome(tmp_path)
    row = "".join(f'<td class="number">{count}</td>' for count in ("111,000", "109,970", "31", "999"))
    assert f"<td>live messages</td>{row}" in page(measured)
    assert "112,067 live messages were acknowledged" in page(measured)
    said = shown(measured)
    assert "111,000 messages read = 109,970 good + 31 quarantined + 999 duplicate" in said
    facts = summary.facts(measured)
    assert facts["ingested"] == measured.ingested
    assert facts["answers"] == {"1": (("2017-01", 12345),)}


def test_a_stack_is_offered_only_where_up_serves_this_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "./databank up" not in shown(outcome(tmp_path))
    monkeypatch.setattr(paths, "state_dir", lambda: tmp_path)
    assert "./databank up" in shown(outcome(tmp_path))


def shown(result: Outcome) -> str:
    console = Console(file=io.StringIO(), width=1_000)
    summary.show(result, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_nothing_is_asked_from_outside(tmp_path: Path) -> None:
    text = page(outcome(tmp_path))
    assert "src=" not in text
    assert "http" not in text


def test_a_page_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "report").write_text("a file where the folder should be")
    with pytest.raises(TerminalError, match="cannot be written"):
        write(outcome(tmp_path), tmp_path / "report" / "index.html")


def test_bars_stand_for_their_values() -> None:
    svg = charts.columns([("a", 50.0), ("b", 100.0)], unit="USD")
    assert svg.count('<rect class="bar"') == 2
    assert "b: 100.00 USD" in svg
    assert charts.rows([]).startswith("<svg")
