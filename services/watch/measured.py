"""What a look measured, for the textfile collector of the node exporter: a file, replaced whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

_MODE = 0o644  # the exporter is another user


def write(folder: Path | None, name: str, measured: Mapping[str, tuple[str, float]]) -> None:
    """Write gauges by their names, each with a line that says what it is; without a folder nothing is done."""
    if folder is None:
        return
    lines = [
        line
        for gauge, (what, value) in measured.items()
        for line in (f"# HELP {gauge} {what}", f"# TYPE {gauge} gauge", f"{gauge} {value:.3f}")
    ]
    partial = folder / f".{name}.{os.getpid()}"
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.chmod(_MODE)
    partial.replace(folder / f"{name}.prom")
