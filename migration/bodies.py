"""Which tables of the lake the two bodies of a view read, and whether they are as a shadow run found them.

What the migration itself writes is held to its verification (`gate.py`). All else that a body reads, such as who is who
or a calendar, changes in the platform's daily course: an answer that was compared before such a change proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from migration.commits import changes_since
from migration.jobfile import Switch
from migration.work import Work
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.tables import TABLES
from spark_jobs.storage import delta
from trino_catalog.definitions import View, load_old_sides, load_views

_NAME = re.compile(r'(?<![\w."])"?(?:lake|lake_admin)"?\s*\.\s*"?(\w+)"?\s*\.\s*"?(\w+)', re.IGNORECASE)


def versions_read(work: Work) -> dict[str, int]:
    """The newest version of each table that a body reads and the migration does not write; those that are there."""
    written = {table.name for table in (*(mapping.table for mapping in work.mappings), *work.job.derived)}
    others = [table for table in tables_read(work.job.switch) if table.name not in written]
    return {table.name: delta.current_version(work.lake, table) for table in others if delta.exists(work.lake, table)}


def changes_of_read(work: Work, noted: Mapping[str, int]) -> str:
    """What happened since to the tables of `versions_read`, in words; '' where only live appends came."""
    now = versions_read(work)
    problems = [f"{name} was made since, or is gone" for name in sorted(set(now) ^ set(noted))]
    both = [table for table in TABLES if table.name in set(now) & set(noted)]
    found = {table.name: changes_since(work.lake, table, noted[table.name]) for table in both}
    return "; ".join([*problems, *(f"{name}: {changed}" for name, changed in found.items() if changed)])


def tables_read(switch: Switch | None) -> list[Table]:
    """The tables of the contracts that the bodies read, themselves or through views of `trino_catalog`."""
    if switch is None:
        return []
    names = named_in(f"{switch.old.query}\n{switch.new.query}")
    reached = _reached(names, [*load_views(), *load_old_sides().values()])
    return [table for table in TABLES if table.name in reached]


def named_in(query: str) -> set[str]:
    """What a query names of the lake, by whichever catalog: SCHEMA.TABLE, in lower case."""
    return {f"{schema}.{name}".lower() for schema, name in _NAME.findall(query)}


def _reached(names: Iterable[str], views: Iterable[View]) -> set[str]:
    """These tables and views, and what the views read, down to tables; a switched view reads what either body does."""
    sources: dict[str, set[str]] = {}
    for view in views:
        sources.setdefault(view.name, set()).update(view.sources)
    found, waiting = set[str](), set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= sources.get(name, set()) - found
    return found
