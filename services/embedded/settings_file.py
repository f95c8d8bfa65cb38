"""The settings file and root key of an embedded stack, written when it starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from services.embedded.layout import Layout
from spark_jobs.errors import TerminalError
from spark_jobs.protection.keys import create_root_key_file

DRIVER_MEMORY_MB = 2048
PROFILES_ADDRESS = "127.0.0.1:8360"


@dataclass(frozen=True, slots=True)
class WorkspaceSettings:
    """One business line of the installation."""

    name: str
    zone: str
    history_complete_since: date


DEMO_WORKSPACE = WorkspaceSettings("grocery", "America/New_York", date(2017, 1, 1))


def write(
    layout: Layout,
    *,
    kafka: str,
    trino: str,
    jars: Iterable[Path],
    workspaces: Iterable[WorkspaceSettings] = (DEMO_WORKSPACE,),
) -> Path:
    """Write the settings whole or not at all; make the root key on the first start."""
    _ensure_root_key(layout)
    sections = [
        _section("storage", root=str(layout.lake)),
        _section("kafka", bootstrap_servers=kafka),
        _section("ledger", url=f"sqlite:///{layout.ledger}"),
        _section("trino", url=trino),
        _section("keys", root_key_file=str(layout.root_key)),
        _section(
            "spark",
            master="local[*]",
            driver_memory_mb=DRIVER_MEMORY_MB,
            local_dir=str(layout.spark_local),
            jars=[str(jar) for jar in jars],
        ),
        _section("profiles", url=f"sqlite:///{layout.profiles}", address=PROFILES_ADDRESS, refusal_tag=""),
        *(
            _section(f"workspace.{one.name}", zone=one.zone, history_complete_since=one.history_complete_since)
            for one in workspaces
        ),
    ]
    partial = layout.settings.with_suffix(".partial")
    partial.write_text("# Written by the embedded stack at each start.\n\n" + "\n".join(sections), encoding="utf-8")
    partial.rename(layout.settings)
    return layout.settings


def _ensure_root_key(layout: Layout) -> None:
    if layout.root_key.exists():
        return
    if any(layout.lake.iterdir()):
        raise TerminalError(
            f"root key file {layout.root_key} is missing and {layout.lake} holds tables whose tokens derive from it; "
            f"restore it from your backup, or remove {layout.root} to begin anew"
        )
    create_root_key_file(layout.root_key)


def _section(name: str, **values: str | int | date | list[str]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: str | int | date | list[str]) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return value.isoformat() if isinstance(value, date) else str(value)
