"""One page that an auditor can keep: what moved and the proof, identity quality, tags, sales; no internet is needed."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from services.demo import charts
from services.demo.asking import PLACES
from services.demo.run import Outcome
from spark_jobs.errors import TerminalError

STYLE = Path(__file__).with_name("report.css")
NUMBER = ' class="number"'
_PACKAGES = ("pyspark", "delta-spark", "kafka-python", "trino", "duckdb")


def write(outcome: Outcome, path: Path) -> None:
    """Write the page whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(page(outcome), encoding="utf-8")
        partial.rename(path)
    except OSError as error:
        raise TerminalError(f"the page {path} cannot be written: {error.strerror}; free room or give --home") from error


def page(outcome: Outcome) -> str:
    """The whole document."""
    verdict = ("proved", "Every figure is equal") if outcome.is_proved else ("red", "Figures differ")
    sections = [
        _section("Proof", _proof(outcome), f'<p class="verdict {verdict[0]}">{verdict[1]}</p>'),
        _section("What moved in", _moved(outcome)),
        _section("Sales by month", _sales(outcome), "<p>Workspace calendar, America/New_York; real purchases.</p>"),
        _section(
            "Identity", _identity(outcome), "<p>Against the truth of the simulation, which the platform never sees.</p>"
        ),
        _section("Tags", _tags(outcome)),
        *(_section(answered.title, _table(answered.columns, answered.rows)) for answered in outcome.answers),
        _section("This run", _run(outcome)),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Databank: the demo</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE.read_text(encoding='utf-8')}</style></head><body><main><header><h1>Databank: the demo</h1>"
        f"<p>{escape(_lead(outcome))}</p></header>{''.join(sections)}</main></body></html>\n"
    )


def _lead(outcome: Outcome) -> str:
    sample = "" if outcome.options.sample == 1 else f" A sample of {outcome.options.sample:.0%} of the households."
    return (
        "One year of a grocery chain's loyalty card moved in while live events arrived. Purchases, products, "
        "campaigns, coupon redemptions and demographics are real (completejourney); identifiers, web and app events "
        f"and the members who never bought are simulated.{sample}"
    )


def _proof(outcome: Outcome) -> str:
    rows = [(c.name, _number(c.wanted), _number(c.found), "equal" if c.holds else "DIFFERENT") for c in outcome.checks]
    return _table(("figure", "DuckDB over the package", "Trino over the tables", ""), rows)


def _moved(outcome: Outcome) -> str:
    sides = {"history": outcome.migration, "live messages": outcome.ingested}
    rows = [(title, *(counts[place] for place in PLACES)) for title, counts in sides.items()]
    text = (
        f"<p>{outcome.live['sent']:,} live messages were acknowledged by Kafka; they were sent for "
        f"{outcome.overlap_s:.0f} s while history was being copied.</p>"
    )
    return _table(("", *PLACES), rows) + text


def _sales(outcome: Outcome) -> str:
    months = [(c.name.removeprefix("sales "), float(c.found)) for c in outcome.checks if c.name.startswith("sales 20")]
    return charts.columns(months, unit="USD")


def _identity(outcome: Outcome) -> str:
    found, events = outcome.quality["identifiers"], outcome.quality["events"]
    measures = ("precision", "recall", "recall_of_provable", "pairs_right", "pairs_predicted", "pairs_true", "mapped")
    pairs = _table(("pairs of identifiers", "value"), [(name.replace("_", " "), found[name]) for name in measures])
    places = ("events", "right", "wrong", "anonymous")
    rows = [(stage.replace("_", " "), *(counts[place] for place in places)) for stage, counts in events.items()]
    return pairs + _table(("events of somebody who is", *places), rows)


def _tags(outcome: Outcome) -> str:
    populations = outcome.batch.get("tags", {}).get("populations", {})
    points = [(name.replace("=", ": ").replace("/", ": "), float(count)) for name, count in _flat(populations)]
    return charts.rows(points) if points else ""


def _run(outcome: Outcome) -> str:
    rows: list[Sequence[Any]] = [(title, f"{seconds:.1f} s") for title, seconds in outcome.stages.items()]
    rows += [("all together", f"{outcome.seconds:.0f} s"), ("memory at most", f"{outcome.peak_memory_mb:,} MiB")]
    rows += [(name, importlib.metadata.version(name)) for name in _PACKAGES]
    rows.append(("made at", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"))
    return _table(("stage (stages overlap)", ""), rows)


def _flat(tree: object, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Leaves of nested objects, named by their path."""
    if isinstance(tree, dict):
        for name, branch in tree.items():
            yield from _flat(branch, f"{prefix} {name}".strip().replace("_", " "))
    else:
        yield prefix, json.dumps(tree) if isinstance(tree, list) else tree


def _section(title: str, content: str, lead: str = "") -> str:
    return f"<section><h2>{escape(title)}</h2>{lead}{content}</section>"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [[_cell(value) for value in row] for row in rows]
    numbers = [bool(lines) and all(NUMBER in line[n] for line in lines) for n in range(len(columns))]
    head = "".join(
        f"<th{NUMBER if is_number else ''}>{escape(name.replace('_', ' '))}</th>"
        for name, is_number in zip(columns, numbers, strict=True)
    )
    body = "".join(f"<tr>{''.join(line)}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    text = _number(str(value)) if not isinstance(value, str) and value is not None else str(value or "")
    is_number = bool(text) and text[0] in "-0123456789" and not text.startswith("20")
    mark = NUMBER if is_number or not isinstance(value, str) else ""
    return f"<td{mark}>{escape(text)}</td>"


def _number(text: str) -> str:
    """Digits in groups of three; other text as it is."""
    whole, dot, rest = text.partition(".")
    return f"{int(whole):,}{dot}{rest}" if whole.lstrip("-").isdecimal() else text
