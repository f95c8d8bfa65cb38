"""What a person sees while chunks are copied: a live display in a terminal, log lines everywhere else."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from migration.chunks import Chunk

log = logging.getLogger("migration")


@contextmanager
def shown(chunks: int, total_bytes: int) -> Iterator[Callable[[Chunk], None]]:
    """A function that is told of each copied chunk; `chunks` and `total_bytes` are what is left to copy."""
    if not sys.stderr.isatty():
        yield lambda _chunk: None  # the copy logs every chunk
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[bad]:,} refused"),
    )
    level = log.level
    log.setLevel(logging.WARNING)  # log lines would tear the display
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(f"{chunks} chunks", total=total_bytes, rows=0, bad=0)
            yield lambda chunk: _advance(progress, int(task), chunk)
    finally:
        log.setLevel(level)


def _advance(progress: Progress, task: int, chunk: Chunk) -> None:
    fields = progress.tasks[0].fields
    counts = chunk.counts
    rows, bad = (counts.read, counts.quarantined) if counts else (0, 0)
    progress.update(progress.task_ids[task], advance=chunk.bytes, rows=fields["rows"] + rows, bad=fields["bad"] + bad)
