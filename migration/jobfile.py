"""A migration job: which folder, which mappings, what is derived, what readers are switched to; one YAML file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from migration.documents import key_problems, read_yaml, version_of
from migration.mapping import Mapping
from migration.mapping_file import load_mapping
from migration.pace import Pace, pace_of, pace_problems
from migration.questions import Question, load_questions
from migration.sources.addresses import is_database, parse_address
from migration.views import Body, read_body
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError

JOB_KEYS: dict[str, tuple[type, bool]] = {
    "job": (str, True),
    "workspace": (str, True),
    "source": (str, True),
    "mappings": (list, True),
    "derive": (dict, False),
    "shadow": (str, False),
    "cutover": (dict, False),
    "pace": (dict, False),
}
DERIVE_KEYS: dict[str, tuple[type, bool]] = {"app": (str, True), "terminal": (str, True)}
CUTOVER_KEYS: dict[str, tuple[type, bool]] = {"view": (str, True), "new": (str, True), "old": (str, True)}


@dataclass(frozen=True, slots=True)
class Touchpoint:
    """App and terminal of the purchase events that history's orders become."""

    app: str
    terminal: str


@dataclass(frozen=True, slots=True)
class Switch:
    """The view that readers use, and its two bodies: over the new tables, over the old system."""

    view: str
    new: Body
    old: Body


@dataclass(frozen=True, slots=True)
class Job:
    """One job, checked; `version` is the hash of what decides which rows are written."""

    name: str
    workspace: str
    source: str  # a path, hdfs://HOST:PORT/PATH, or SCHEME://HOST:PORT/DATABASE
    mappings: tuple[Mapping, ...]
    derive: Touchpoint | None
    questions: tuple[Question, ...]  # of the shadow run
    switch: Switch | None
    version: str
    pace: Pace = Pace()  # noqa: RUF009 - it is frozen

    def mapping_of(self, target: str) -> Mapping:
        """The mapping that fills a table."""
        return next(mapping for mapping in self.mappings if mapping.table.name == target)

    @property
    def derived(self) -> tuple[Table, ...]:
        """The tables that hold what is derived from order lines."""
        return (ORDERS, EVENTS) if self.derive else ()

    def newest_by(self, table: Table) -> str:
        """The column by which of rows with one key the newest stays; '' where only their places count.

        What is derived from order lines goes by the same time as they do.
        """
        columns = {mapping.table.name: mapping.newest_by for mapping in self.mappings}
        is_derived = self.derive is not None and bool(columns.get(ORDER_LINES.name))
        return columns.get(table.name, table.happened_at if is_derived else "")


def load_job(path: Path, *, source: str | None = None) -> Job:
    """Read and check a job and all its mappings; paths are relative to the job file; `source` replaces its folder."""
    given = read_yaml(path)
    problems = key_problems(str(path), given, JOB_KEYS)
    for key, wanted in (("derive", DERIVE_KEYS), ("cutover", CUTOVER_KEYS)):
        if key in given:
            problems += key_problems(f"{path} [{key}]", given[key], wanted)
    problems += pace_problems(f"{path} [pace]", given.get("pace", {}))
    if problems:
        raise TerminalError("; ".join(problems))
    folder = path.parent
    mappings, problems = _mappings(folder, given["mappings"])
    problems += _table_problems(str(path), mappings, has_derive="derive" in given)
    address = _address(folder, given["source"]) if source is None else _address(Path(), source)
    problems += _source_problems(address, mappings)
    switch, questions, found = _readers(folder, given)
    if problems := problems + found:
        raise TerminalError("; ".join(problems))
    return Job(
        name=given["job"],
        workspace=given["workspace"],
        source=address,
        mappings=tuple(mappings),
        derive=Touchpoint(**given["derive"]) if "derive" in given else None,
        questions=questions,
        switch=switch,
        version=version_of([given["job"], given["workspace"], sorted([one.version, one.files] for one in mappings)]),
        pace=pace_of(given.get("pace", {})),
    )


def _address(base: Path, source: str) -> str:
    return source if "://" in source else str((base / source).resolve())


def _mappings(folder: Path, names: list[object]) -> tuple[list[Mapping], list[str]]:
    mappings, problems = [], []
    for name in names:
        try:
            mappings.append(load_mapping(folder / str(name)))
        except TerminalError as error:
            problems.append(str(error))
    return mappings, problems


def _readers(folder: Path, given: dict[str, Any]) -> tuple[Switch | None, tuple[Question, ...], list[str]]:
    """The view's bodies and the questions to both. They are read now, not when weeks of copying are over."""
    cutover, files = given.get("cutover"), dict[str, Callable[[], Any]]()
    if cutover:
        files |= {side: partial(read_body, folder / cutover[side], cutover["view"]) for side in ("new", "old")}
    if "shadow" in given:
        files["shadow"] = partial(load_questions, folder / given["shadow"])
    found, problems = dict[str, Any](), []
    for name, read in files.items():
        try:
            found[name] = read()
        except TerminalError as error:
            problems.append(str(error))
    if "shadow" in given and not cutover:
        problems.append("`shadow` compares the two bodies of `cutover`, which is missing; add it, or leave both out")
    if problems:
        return None, (), problems
    switch = Switch(cutover["view"], found["new"], found["old"]) if cutover else None
    return switch, found.get("shadow", ()), []


def _source_problems(address: str, mappings: list[Mapping]) -> list[str]:
    """A database has tables, a folder files; an address that names more than a database is not said again."""
    if not is_database(address):
        return [
            f"{one.table.name} is filled from a table, and source {address} is a folder"
            for one in mappings
            if one.source_table
        ]
    try:
        parse_address(address)
    except TerminalError as error:
        return [str(error)]
    return [
        f"{one.table.name} is filled from files, and source {address} is a database" for one in mappings if one.files
    ]


def _table_problems(where: str, mappings: list[Mapping], *, has_derive: bool) -> list[str]:
    counts = Counter(mapping.table.name for mapping in mappings)
    problems = [f"{where}: {n} mappings fill {name}, wanted one" for name, n in counts.items() if n > 1]
    if has_derive and ORDER_LINES.name not in counts and not problems:
        problems.append(f"{where} [derive]: orders come from {ORDER_LINES.name}, which no mapping fills")
    ordered = [one.newest_by for one in mappings if one.table == ORDER_LINES and one.newest_by]
    if has_derive and ordered not in ([], [ORDER_LINES.happened_at]):
        wanted = f"wanted {ORDER_LINES.happened_at}: it is the only time that orders and events have as well"
        problems.append(f"{where} [derive]: newest_by of {ORDER_LINES.name} is {ordered[0]}, {wanted}")
    return problems
