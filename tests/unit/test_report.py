"""The page at the demo's end: what it says, that it asks nobody, that nothing is put into it unescaped."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.demo import charts
from services.demo.asking import Answered
from services.demo.options import Options
from services.demo.proof import Check
from services.demo.report import page, write
from services.demo.run import Outcome
from spark_jobs.errors import TerminalError

STAGE = {"events": 10, "right": 9, "wrong": 0, "anonymous": 1}
PAIRS = ("precision", "recall", "recall_of_provable", "pairs_right", "pairs_predicted", "pairs_true", "mapped")


def outcome(home: Path, *, found: str = "1469307") -> Outcome:
    result = Outcome(Options(home, 1.0, 7, plants_missing_row=False))
    result.expected = {"live": {"quarantined": {"not UTF-8": 2}}}
    result.migration = {"read": 12, "good": 10, "quarantined": 1, "duplicate": 1}
    result.live = {"sent": 112067}
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
