"""`python -m trino_catalog.apply`: registers the platform's tables in Trino, creates its views, and checks both.

Safe to repeat. A table is found by its path under the storage root; a view waits until everything it reads is there.
Which of its two declared bodies a switched view has (old system or new tables) is what `migration.switches` says, a
table of the lake; `migration cutover` and `rollback` write it there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any

from spark_jobs.contracts.tables import TABLES
from spark_jobs.errors import ended
from spark_jobs.settings import Settings, Workspace, load
from trino_catalog.connection import Trino, connected, literal, values
from trino_catalog.definitions import LEGACY, View, load_old_sides, load_views
from trino_catalog.legacy_files import show_old_files
from trino_catalog.registration import check_tables, ensure_schemas, register_tables
from trino_catalog.sides import Sides, sides

# Made of the settings: views join it for the calendar of each row's workspace.
WORKSPACES = "core.workspaces"


def main(argv: list[str] | None = None) -> int:
    """0 where everything that exists is shown as its contract says."""
    parser = argparse.ArgumentParser(prog="python -m trino_catalog.apply", description=__doc__)
    parser.add_argument("--settings", metavar="FILE", help="default: the file that DATABANK_SETTINGS names")
    parser.add_argument("--only", choices=["tables", "views"], help="default: both")
    parser.add_argument(
        "--legacy", metavar="DIR", help="show the old system's exported files in DIR, a path or hdfs://…, as well"
    )
    args = parser.parse_args(argv)
    return ended("trino_catalog.apply", lambda: _apply(args))


def _apply(args: argparse.Namespace) -> int:
    settings = load(args.settings)
    with connected(settings.trino_url, account=settings.trino_account) as trino:
        facts = apply(trino, settings, legacy=args.legacy, only=args.only)
    sys.stdout.write(json.dumps(facts) + "\n")
    return 0


def apply(trino: Trino, settings: Settings, *, legacy: str | None = None, only: str | None = None) -> dict[str, Any]:
    """Register, check, create; Out: tables and views that are there, and what each waiting view waits for."""
    facts: dict[str, Any] = {}
    if only != "views":
        tables = register_tables(trino, settings.storage_root, TABLES)
        check_tables(trino, tables)
        facts["tables"] = [table.name for table in tables]
    if legacy is not None:
        show_old_files(trino, legacy)
    if only != "tables":
        views = load_views()
        ensure_schemas(trino, settings.storage_root, [WORKSPACES, *(view.name for view in views)])
        create_workspaces(trino, settings.workspaces)
        facts |= create_views(trino, views, sides(trino, load_old_sides(), begins_old=legacy is not None))
    return facts


def create_workspaces(trino: Trino, workspaces: Iterable[Workspace]) -> None:
    """The business lines of the settings as a view: workspace_id, zone, history_complete_since."""
    rows = [
        (
            f"CAST({literal(one.name)} AS varchar)",
            f"CAST({literal(one.zone.key)} AS varchar)",
            f"DATE '{one.history_complete_since.isoformat()}'",
        )
        for one in workspaces
    ]
    trino.ask(
        f"CREATE OR REPLACE VIEW lake_admin.{WORKSPACES} SECURITY DEFINER AS "
        f"SELECT * FROM (VALUES {values(rows)}) AS line (workspace_id, zone, history_complete_since)"
    )


def create_views(trino: Trino, views: Iterable[View], chosen: Sides) -> dict[str, Any]:
    """Create or renew each view whose sources are there."""
    present = set(chosen.present)
    made, waiting = [], {}
    for view in views:
        body = chosen.body_of(view)
        # The old system's files are not among the platform's tables: Trino itself says where one is missing.
        missing = sorted(name for name in set(body.sources) - present if not name.startswith(f"{LEGACY.name}."))
        if missing:
            waiting[view.name] = missing
            continue
        _put_in_force(trino, view, body, chosen)
        present.add(view.name)
        made.append(view.name)
    return {"views": made, "waiting": waiting}


def _put_in_force(trino: Trino, view: View, body: View, chosen: Sides) -> None:
    """Give the view its body. A cut-over notes its side before it sends its statement: who looks again sees it."""
    while True:
        trino.ask(body.statement)
        if (now := chosen.body_of(view)) == body:
            return
        body = now


if __name__ == "__main__":
    sys.exit(main())
