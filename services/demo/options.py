"""What a run of the demo was asked for, and where it keeps its files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from services.demo import export, export_source
from services.embedded import layout, state
from services.embedded.layout import Layout
from services.setup.space import require_free
from spark_jobs.errors import TerminalError

WORKSPACE = "grocery"
ZONE = ZoneInfo("America/New_York")
BASE = datetime(2018, 1, 1, tzinfo=ZONE)
MARKER = ".made-by-demo"


@dataclass(frozen=True, slots=True)
class Options:
    """`home` holds data/ (the platform), demo/ (the old system's files, the truth) and report/."""

    home: Path
    sample: float
    seed: int
    plants_missing_row: bool

    @property
    def data(self) -> Path:
        """The data directory of the embedded stack."""
        return self.home / "data"

    @property
    def files(self) -> Path:
        """export/, live/ and truth/: outside of the data directory, as another system's files are."""
        return self.home / "demo"

    @property
    def report(self) -> Path:
        """The page at the end."""
        return self.home / "report" / "index.html"


def require_inputs(options: Options) -> None:
    """Source files and room, asked before anything is removed or made; TerminalError names what is missing."""
    export_source.require_files(export_source.package_folder())
    require_free(options.home, export.NEEDED_BYTES + layout.NEEDED_BYTES, "the demo")


def begin_anew(options: Options) -> None:
    """An empty data directory; only one that a demo made is removed, and never under a running stack."""
    data = options.data
    if not data.exists():
        data.mkdir(mode=0o700, parents=True)  # personal data, however well it is hidden
    elif state.is_locked(Layout(data)):
        raise TerminalError(
            f"a stack runs in {data}: {state.who_runs(Layout(data))}; stop it with `./databank down`, then run the demo"
        )
    elif any(data.iterdir()):
        if not (data / MARKER).exists():
            raise TerminalError(
                f"{data} holds tables that no demo made; move it away, or give the demo a folder with --home DIR"
            )
        shutil.rmtree(data)
        data.mkdir(mode=0o700)
    (data / MARKER).touch()
