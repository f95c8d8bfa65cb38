"""What a person sees while chunks are copied: a live display in a terminal, log lines everywhere else."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from migration.chunks import Chunk
from migration.pace import Wait
from migration.watch import UNWATCHED, Watch

log = logging.getLogger("migration")


@dataclass(frozen=True, slots=True)
class Display:
    """The live display of one copy."""

    progress: Progress
    task: TaskID

    def copied(self, chunk: Chunk) -> None:
        """A chunk was copied."""
        fields, counts = self.progress.tasks[0].fields, chunk.counts
        rows, bad = (counts.read, counts.quarantined) if counts else (0, 0)
        numbers = {"rows": fields["rows"] + rows, "bad": fields["bad"] + bad}
        self.progress.update(self.task, advance=chunk.bytes, **numbers)

    def waits(self, wait: Wait | None) -> None:
        """A wait began or ended."""
        text = f", waits until {wait.until.astimezone():%a %H:%M:%S} ({wait.reason})" if wait else ""
        self.progress.update(self.task, wait=text)


@contextmanager
def shown(chunks: int, total_bytes: int) -> Iterator[Watch]:
    """Somebody who is told of each copied chunk; `chunks` and `total_bytes` are what is left to copy."""
    if not sys.stderr.isatty():
        yield UNWATCHED  # the copy logs every chunk
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[rows]:,} rows, {task.fields[bad]:,} refused{task.fields[wait]}"),
    )
    level = log.level
    log.setLevel(logging.WARNING)  # log lines would tear the display
    try:
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task(f"{chunks} chunks", total=total_bytes, rows=0, bad=0, wait="")
            yield Display(progress, task)
    finally:
        log.setLevel(level)
