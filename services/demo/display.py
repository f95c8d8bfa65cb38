"""What the demo shows while it runs: its stages with rows and seconds, live on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

_MARKS = {"waiting": " ", "running": "▸", "done": "✓", "failed": "✗"}
_REFRESH_PER_S = 2


@dataclass(slots=True)
class Stage:
    """One stage: how it stands, rows that it moved, and what it says now."""

    title: str
    state: str = "waiting"
    rows: int | None = None
    note: str = ""
    seconds: float = 0.0
    began: float = 0.0
    says: Callable[[], str] | None = field(default=None, repr=False)

    def elapsed_s(self) -> float:
        """Seconds so far, or in all."""
        return time.monotonic() - self.began if self.state == "running" else self.seconds


class Board:
    """The stages in order; stages may overlap."""

    def __init__(self, console: Console, titles: tuple[str, ...]) -> None:
        self.stages = {title: Stage(title) for title in titles}
        self._console = console
        self._live = Live(
            get_renderable=self._table, console=console, refresh_per_second=_REFRESH_PER_S, transient=False
        )

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def begin(self, title: str, says: Callable[[], str] | None = None) -> Stage:
        """Mark a stage as running."""
        stage = self.stages[title]
        stage.state, stage.began, stage.says = "running", time.monotonic(), says
        self._plain(f"▸ {title}")
        return stage

    def end(self, stage: Stage, *, state: str = "done") -> None:
        """Mark it as ended; its note replaces what it said."""
        stage.seconds = stage.elapsed_s()
        stage.state, stage.says = state, None
        rows = f", {stage.rows:,} rows" if stage.rows is not None else ""
        self._plain(
            f"{_MARKS[state]} {stage.title}: {stage.seconds:.1f} s{rows}{', ' if stage.note else ''}{stage.note}"
        )

    @contextmanager
    def stage(self, title: str, says: Callable[[], str] | None = None) -> Iterator[Stage]:
        """A stage that lasts as long as the block."""
        stage = self.begin(title, says)
        try:
            yield stage
        except BaseException:
            self.end(stage, state="failed")
            raise
        self.end(stage)

    def _plain(self, line: str) -> None:
        if not self._console.is_terminal:
            self._console.print(line, highlight=False)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for heading in ("", "stage"):
            table.add_column(heading)
        table.add_column("rows", justify="right")
        table.add_column("seconds", justify="right")
        table.add_column("", overflow="ellipsis", no_wrap=True, ratio=1)
        for stage in self.stages.values():
            rows = "" if stage.rows is None else f"{stage.rows:,}"
            seconds = "" if stage.state == "waiting" else f"{stage.elapsed_s():.1f}"
            note = stage.says() if stage.says else stage.note
            table.add_row(_MARKS[stage.state], stage.title, rows, seconds, note)
        return table
