"""What Prometheus measures of a migration: a file for the textfile collector of the node exporter, replaced whole.

https://prometheus.io/docs/instrumenting/exposition_formats/ describes the format.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import time
from typing import Any

from sqlalchemy import func, select

from migration.chunks import ChunkState
from migration.history import NOT_VERIFIED, RAN, SUCCEEDED, verifications
from migration.ledger import Ledger, Plan, Step
from migration.ledger_schema import CHUNKS
from migration.overview import targets
from migration.tracking import Figures
from migration.versions import program

PREFIX = "databank_migration"
_PLACES = ("good", "quarantined", "duplicate")
_MODE = 0o644  # the exporter is another user


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its samples by their labels. `help` is one line."""

    name: str
    help: str
    samples: tuple[tuple[Mapping[str, str], float], ...]
    kind: str = "gauge"


def write_metrics(ledger: Ledger, plan: Plan, folder: Path | None, figures: Figures | None = None) -> None:
    """Replace the file of the plan's job; with `figures`, of the copy that runs. Without a folder nothing is done."""
    if folder is None:
        return
    name = f"{PREFIX}_{re.sub(r'[^A-Za-z0-9_.-]', '_', plan.job)}.prom"
    partial = folder / f".{name}.{os.getpid()}"
    partial.write_text(text_of(metrics(ledger, plan, figures)), encoding="utf-8")
    partial.chmod(_MODE)
    partial.replace(folder / name)


def metrics(ledger: Ledger, plan: Plan, figures: Figures | None) -> Iterator[Metric]:
    """All that is measured of a plan. The label is `migration`, because `job` is Prometheus's own."""
    mine = {"migration": plan.job}
    yield _one("info", "plan and program", 1, {**mine, "plan": plan.plan_id, "program": program()})
    steps = ledger.steps(plan.plan_id)
    yield from _of_chunks(ledger.totals(plan.plan_id), mine)
    yield Metric(
        f"{PREFIX}_verification_failures",
        "chunks whose rows differ from their source",
        tuple(({**mine, "target": target}, chunks) for target, chunks in _differing(ledger, plan)),
    )
    yield Metric(
        f"{PREFIX}_verification_red",
        "1 where the last verification of a table was red, chunks that differ or not",
        tuple(
            ({**mine, "target": target}, int(newest.name == NOT_VERIFIED))
            for target, newest in verifications(steps).items()
        ),
    )
    yield Metric(
        f"{PREFIX}_last_success_seconds",
        "when a verb succeeded last, Unix time",
        tuple(({**mine, "verb": verb}, at) for verb, at in _successes(steps).items()),
    )
    rate, wait = figures and figures.rate, figures and figures.wait
    yield _one("copying", "1 while a copy runs", int(figures is not None), mine)
    yield _one("records_per_second", "in the last 5 minutes", rate.recent_records_per_s if rate else 0, mine)
    yield _one("bytes_per_second", "in the last 5 minutes", rate.recent_bytes_per_s if rate else 0, mine)
    since = figures.waiting_since if figures and wait else None
    yield _one(
        "waiting_since_seconds", "when a wait began, Unix time; 0: none", since.timestamp() if since else 0, mine
    )
    yield _one("updated_seconds", "when this was so, Unix time", time(), mine)


def text_of(found: Iterable[Metric]) -> str:
    """The metrics in Prometheus's text format; a metric without samples is left out."""
    return "".join(line for metric in found if metric.samples for line in _lines(metric))


def _lines(metric: Metric) -> Iterator[str]:
    # `help` is ours and one line; values of labels are anybody's.
    yield f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {metric.kind}\n"
    for labels, value in metric.samples:
        pairs = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        yield f"{metric.name}{{{pairs}}} {value!r}\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _one(name: str, text: str, value: float, labels: Mapping[str, str]) -> Metric:
    return Metric(f"{PREFIX}_{name}", text, ((labels, value),))


def _of_chunks(totals: list[dict[str, Any]], mine: Mapping[str, str]) -> Iterator[Metric]:
    rows = {(row["target"], row["state"]): row for row in totals}
    for name, text in (("chunks", "chunks of the plan"), ("bytes", "size of the chunks' objects")):
        # Every state is there, so that none stays at its last value when its chunks have left it.
        samples = tuple(
            ({**mine, "target": target, "state": str(state)}, rows.get((target, str(state)), {}).get(name, 0))
            for target in sorted({target for target, _ in rows})
            for state in ChunkState
        )
        yield Metric(f"{PREFIX}_{name}", text, samples)
    found = targets(totals)
    planned = tuple(({**mine, "target": one["target"]}, one["records"]) for one in found)
    yield Metric(f"{PREFIX}_planned_records", "records of the plan", planned)
    placed = tuple(
        ({**mine, "target": one["target"], "place": place}, one[place]) for one in found for place in _PLACES
    )
    yield Metric(f"{PREFIX}_records", "records by their place", placed)


def _differing(ledger: Ledger, plan: Plan) -> list[tuple[str, int]]:
    is_red = (CHUNKS.c.state == str(ChunkState.FAILED)) & CHUNKS.c.digest_sum.is_not(None)
    count = func.count(CHUNKS.c.chunk_id).filter(is_red)
    query = select(CHUNKS.c.target, count).where(CHUNKS.c.plan_id == plan.plan_id).group_by(CHUNKS.c.target)
    with ledger.engine.connect() as connection:
        return [(target, int(chunks)) for target, chunks in connection.execute(query.order_by(CHUNKS.c.target))]


def _successes(steps: Iterable[Step]) -> dict[str, float]:
    ran = f"{RAN} "
    return {
        step.name.removeprefix(ran): datetime.fromisoformat(step.at).timestamp()
        for step in steps
        if step.name.startswith(ran) and step.facts["state"] == SUCCEEDED
    }
