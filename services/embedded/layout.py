"""Where one embedded stack keeps its data, logs and state; everything is under one folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from services.setup.space import require_free, require_writable

# The demo writes less than half of this.
NEEDED_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and files of a stack whose data directory is `root`."""

    root: Path

    @property
    def lake(self) -> Path:
        """The storage root: Delta tables as SCHEMA/TABLE."""
        return self.root / "lake"

    @property
    def metastore(self) -> Path:
        """Trino's file metastore."""
        return self.root / "trino" / "metastore"

    @property
    def kafka(self) -> Path:
        """The broker's log and settings."""
        return self.root / "kafka"

    @property
    def trino(self) -> Path:
        """Trino's settings, temporary files and metastore."""
        return self.root / "trino"

    @property
    def logs(self) -> Path:
        """Log files of both."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """What is true only while processes run: the lock and the addresses."""
        return self.root / "run"

    @property
    def lock(self) -> Path:
        """Locked by every process of a running stack; free once all have ended, however they ended."""
        return self.run / "stack.lock"

    @property
    def state(self) -> Path:
        """Processes and addresses of the stack that runs, or ran last."""
        return self.run / "stack.json"

    @property
    def spark_local(self) -> Path:
        """Spark's shuffle files."""
        return self.root / "spark"

    @property
    def ledger(self) -> Path:
        """The migration's ledger."""
        return self.root / "ledger.sqlite"

    @property
    def profiles(self) -> Path:
        """The profile API's store."""
        return self.root / "profiles.sqlite"

    @property
    def root_key(self) -> Path:
        """The key file that all tokens derive from."""
        return self.root / "keys" / "root.json"

    @property
    def settings(self) -> Path:
        """The settings file of every job."""
        return self.root / "settings.toml"


def prepare(root: Path) -> Layout:
    """The layout with its folders made; TerminalError when one cannot be used or the disk is nearly full."""
    layout = Layout(root.resolve())
    folders = (layout.lake, layout.metastore, layout.kafka, layout.trino, layout.logs, layout.run, layout.spark_local)
    require_free(layout.root, NEEDED_BYTES, "the embedded stack")  # before anything is made
    if not layout.root.exists():
        layout.root.mkdir(mode=0o700, parents=True)  # personal data, however well it is hidden
    for folder in (layout.root, *folders):
        require_writable(folder)
    return layout
