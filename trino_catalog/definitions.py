"""The SQL files of this folder: what each view is for, what it reads, and in which order views can be made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from spark_jobs.errors import TerminalError

FOLDER = Path(__file__).resolve().parent
VIEWS = FOLDER / "views"
CUTOVER = FOLDER / "cutover"
LEGACY = FOLDER / "legacy"
LEGACY_SUFFIX = "_legacy"

_HEADER = re.compile(
    r"^(?P<title>.+?)\. .*?Grain: (?P<grain>.+?)\. .*?"
    r"Reads: (?P<reads>\w+\.\w+(?:, \w+\.\w+)*)\. .*?Owner: (?P<owner>\w+)\."
)
_TARGET = re.compile(r"CREATE OR REPLACE VIEW lake_admin\.(\w+\.\w+) SECURITY DEFINER AS\n")
_SOURCE = re.compile(r"\b(?:FROM|JOIN)\s+(lake|legacy)\.(\w+\.\w+)")


@dataclass(frozen=True, slots=True)
class View:
    """One view: `schema.view`, the facts of its header, the tables and views it reads, and its statement."""

    name: str
    title: str
    grain: str
    owner: str
    sources: tuple[str, ...]
    statement: str


def load_views(folder: Path = VIEWS) -> tuple[View, ...]:
    """All views, each after the views that it reads; TerminalError names a file that breaks the rules."""
    views = {view.name: view for view in map(read_view, sorted(folder.glob("*/*.sql")))}
    order = TopologicalSorter({name: set(view.sources) & set(views) for name, view in views.items()})
    try:
        return tuple(views[name] for name in order.static_order())
    except CycleError as error:
        raise TerminalError(f"views read each other in a circle: {' -> '.join(error.args[1])}; break it") from error


def load_old_sides(folder: Path = CUTOVER) -> dict[str, View]:
    """The old side of each view that a cut-over switches, by the view's name."""
    return {view.name: view for view in map(_read, sorted(folder.glob(f"*{LEGACY_SUFFIX}.sql")))}


def read_view(path: Path) -> View:
    """The view of one file, which must be named as its path says."""
    view = _read(path)
    wanted = f"{path.parent.name}.{path.stem}"
    if view.name != wanted:
        raise TerminalError(f"{path} makes the view {view.name}, its path says {wanted}; rename one of them")
    return view


def _read(path: Path) -> View:
    text = path.read_text(encoding="utf-8")
    comment = " ".join(line.removeprefix("--").strip() for line in text.splitlines() if line.startswith("--"))
    statement = "\n".join(line for line in text.splitlines() if not line.startswith("--")).strip()
    header, target = _HEADER.search(comment), _TARGET.match(statement)
    if header is None:
        raise TerminalError(f"{path}: the header is {comment[:60]!r}, wanted `Title. Grain: ... Reads: ... Owner: ...`")
    if target is None:
        raise TerminalError(f"{path}: wanted `CREATE OR REPLACE VIEW lake_admin.SCHEMA.VIEW SECURITY DEFINER AS` first")
    sources = _sources(statement)
    declared = tuple(part.strip() for part in header["reads"].split(","))
    if set(declared) != set(sources):
        raise TerminalError(
            f"{path}: the header reads {sorted(declared)}, the query {sorted(sources)}; make them equal"
        )
    return View(target[1], header["title"], header["grain"], header["owner"], sources, statement)


def _sources(statement: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(match[2] for match in _SOURCE.finditer(statement)))
