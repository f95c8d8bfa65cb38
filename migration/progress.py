"""What a person sees while chunks are copied: a live display in a terminal, a line each minute everywhere else."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from migration.status import amount_of_bytes
from migration.tracking import Amount, Figures

log = logging.getLogger("migration")

EVERYTHING = "all tables"
SHOWN_EVERY_S = 1.0
LOGGED_EVERY_S = 60.0


@contextmanager
def shown(figures: Figures, console: Console | None = None) -> Iterator[tuple[float, Callable[[Figures], None]]]:
    """How often the figures of a copy are wanted, in seconds, and by whom; the first ones say what there is to do."""
    if not (console or sys.stderr.isatty()):
        yield LOGGED_EVERY_S, lambda found: log.info("%s", summary(found))
        return
    level = log.level
    log.setLevel(logging.WARNING)  # log lines would tear the display
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[text]}"))
    try:
        with Progress(*columns, console=console or Console(stderr=True)) as progress:
            tasks = {target: _task(progress, target, amount) for target, amount in figures.left.items()}
            tasks[EVERYTHING] = _task(progress, EVERYTHING, figures.total_left)
            yield SHOWN_EVERY_S, lambda found: _show(progress, tasks, found)
    finally:
        log.setLevel(level)


def summary(figures: Figures) -> str:
    """A copy in one line."""
    done, left = figures.total, figures.total_left
    chunks = f"copied {done.chunks:,} of {done.chunks + left.chunks:,} chunks, {figures.running} running"
    rows = f"{done.records:,} rows, {done.refused:,} refused"
    return f"{chunks}; {rows}; {_pace(figures)}"


def _task(progress: Progress, name: str, left: Amount) -> TaskID:
    return progress.add_task(name, total=left.bytes or left.records, text="")


def _show(progress: Progress, tasks: dict[str, TaskID], figures: Figures) -> None:
    for target, done in figures.done.items():
        left = figures.left.get(target, Amount())
        text = f"{done.chunks:,}/{done.chunks + left.chunks:,} chunks, {done.records:,} rows, {done.refused:,} refused"
        _advance(progress, tasks[target], done, left, text)
    _advance(progress, tasks[EVERYTHING], figures.total, figures.total_left, _whole(figures))


def _whole(figures: Figures) -> str:
    done, left = figures.total, figures.total_left
    states = f"{left.chunks - figures.running:,} planned, {figures.running} copying, {done.chunks:,} copied"
    return f"{states}; {_pace(figures)}"


def _advance(progress: Progress, task: TaskID, done: Amount, left: Amount, text: str) -> None:  # noqa: PLR0917
    has_sizes = done.bytes + left.bytes > 0
    progress.update(task, completed=done.bytes if has_sizes else done.records, text=text)


def _pace(figures: Figures) -> str:
    rate = figures.rate
    parts = [f"{rate.recent_records_per_s:,.0f} rows/s, {amount_of_bytes(rate.recent_bytes_per_s)}/s"]
    if figures.ends_at and figures.total_left.chunks:
        parts.append(f"ends {_local(figures.ends_at)}")
    if figures.wait:
        parts.append(f"waits until {_local(figures.wait.until)}: {figures.wait.reason}")
    return ", ".join(parts)


def _local(moment: datetime) -> str:
    return f"{moment.astimezone():%a %d %b %H:%M:%S}"
