"""What the demo prints at its end: answers, what moved, identity quality, the proof; as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from services.demo.asking import Answered
from services.demo.run import Outcome
from services.setup import paths

_SIMULATED = (
    "Purchases, products, campaigns, coupon redemptions and demographics are real (completejourney). Identifiers, "
    "web and app events and the members who never bought are simulated."
)


def show(outcome: Outcome, console: Console) -> None:
    """Print everything, the proof and the page's path last."""
    for answered in outcome.answers:
        console.print(_answer(answered))
    console.print(_proof(outcome))
    console.print(_SIMULATED)
    console.print(_moved(outcome), highlight=False)
    console.print(_identities(outcome), highlight=False)
    minutes, seconds = divmod(round(outcome.seconds), 60)
    verdict = "PROVED: every figure is equal" if outcome.is_proved else "NOT PROVED: figures differ"
    console.print(f"{verdict}. {minutes} min {seconds} s, {outcome.peak_memory_mb:,} MiB at most.", highlight=False)
    console.print(f"The page: {outcome.options.report}", soft_wrap=True, highlight=False)
    if outcome.options.home == paths.state_dir().resolve():  # what `up` serves
        console.print("`./databank up` keeps Kafka and Trino running on this data for BI tools.", highlight=False)


def facts(outcome: Outcome) -> dict[str, Any]:
    """The run as one JSON object."""
    return {
        "proved": outcome.is_proved,
        "checks": {
            check.name: {"wanted": check.wanted, "found": check.found, "holds": check.holds} for check in outcome.checks
        },
        "expected": outcome.expected,
        "migration": outcome.migration,
        "live": outcome.live,
        "overlap_s": round(outcome.overlap_s, 1),
        "ingested": outcome.ingested,
        **outcome.batch,
        "answers": {answered.name: answered.rows for answered in outcome.answers},
        "quality": outcome.quality,
        "stages": {title: round(seconds, 1) for title, seconds in outcome.stages.items()},
        "seconds": round(outcome.seconds, 1),
        "peak_memory_mb": outcome.peak_memory_mb,
        "page": str(outcome.options.report),
    }


def _answer(answered: Answered) -> Table:
    table = Table(title=answered.title, title_justify="left")
    for n, name in enumerate(answered.columns):
        is_text = any(isinstance(row[n], str) for row in answered.rows)
        table.add_column(name.replace("_", " "), justify="left" if is_text else "right")
    for row in answered.rows:
        table.add_row(*(_text(value) for value in row))
    return table


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int | Decimal) and not isinstance(value, bool) else str(value)


def _proof(outcome: Outcome) -> Table:
    table = Table(title="Proof: DuckDB over the package's files, Trino over the new tables", title_justify="left")
    table.add_column("figure")
    table.add_column("wanted", justify="right")
    table.add_column("found", justify="right")
    table.add_column("")
    for check in outcome.checks:
        mark = "[green]equal[/]" if check.holds else "[red]DIFFERENT[/]"
        table.add_row(check.name, _number(check.wanted), _number(check.found), mark)
    return table


def _number(text: str) -> str:
    whole, dot, cents = text.partition(".")
    return f"{int(whole):,}{dot}{cents}"


def _moved(outcome: Outcome) -> str:
    return (
        f"History: {_places(outcome.migration, 'records')}. Live: {_places(outcome.ingested, 'messages')}; "
        f"{outcome.live['sent']:,} were acknowledged; they were sent for {outcome.overlap_s:.0f} s while history was "
        "being copied."
    )


def _places(counts: Mapping[str, Any], what: str) -> str:
    return (
        f"{counts['read']:,} {what} read = {counts['good']:,} good + {counts['quarantined']:,} quarantined + "
        f"{counts['duplicate']:,} duplicate"
    )


def _identities(outcome: Outcome) -> str:
    pairs = outcome.quality.get("identifiers", {})
    return (
        f"Identity against the truth: precision {pairs.get('precision')}, recall {pairs.get('recall')} "
        "(pairs of identifiers)."
    )
