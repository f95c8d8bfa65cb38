"""`python -m trino_catalog.apply`: registers the platform's tables in Trino, creates its views, and checks both.

Safe to repeat. A table is found by its path under the storage root; a view waits until everything it reads is there.
Which of its two declared bodies a switched view has (old system or new tables) is what the migration's ledger says;
`migration cutover` and `rollback` write it there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from spark_jobs.contracts.tables import TABLES
from spark_jobs.errors import RetryableError, TerminalError, ended
from spark_jobs.settings import Settings, Workspace, load
from trino_catalog.connection import Trino, connected, literal, values
from trino_catalog.definitions import LEGACY, View, load_old_sides, load_views
from trino_catalog.registration import check_tables, ensure_schemas, location_of, register_tables, shown

# Made of the settings: views join it for the calendar of each row's workspace.
WORKSPACES = "core.workspaces"
SWITCHES = "switches"  # the ledger's table; `migration` writes it
_OLD_SIDE = "legacy.legacy."


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
        facts |= create_views(trino, chosen_sides(trino, views, sides_in(settings.ledger_url), has_legacy=bool(legacy)))
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


def show_old_files(trino: Trino, folder: str) -> None:
    """The exported files as tables of the schema `legacy`; files that moved are found anew."""
    root = folder.rstrip("/") if "://" in folder else str(Path(folder).resolve())
    trino.ask(f"CREATE SCHEMA IF NOT EXISTS legacy.legacy WITH (location = {literal(location_of(root))})")
    for path in sorted(LEGACY.glob("*.sql")):
        files = f"{root}/{path.stem}"
        if "://" not in root and not any(Path(files).glob("*.csv")):
            raise TerminalError(f"the old system's files are not in {files}, wanted *.csv; give --legacy their folder")
        trino.ask(f"DROP TABLE IF EXISTS legacy.legacy.{path.stem}")
        trino.ask(path.read_text(encoding="utf-8").replace("${location}", location_of(files)))


def sides_in(ledger_url: str) -> dict[str, str]:
    """View to `old` or `new`, as the migration's ledger holds it; empty where there is no ledger yet."""
    url = make_url(ledger_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return {}
    engine = create_engine(url)
    try:
        if not inspect(engine).has_table(SWITCHES):
            return {}
        with engine.connect() as connection:
            rows = connection.execute(text(f"SELECT view, side FROM {SWITCHES}")).all()
            return {str(row[0]): str(row[1]) for row in rows}
    except SQLAlchemyError as error:
        shown_url = url.render_as_string(hide_password=True)
        raise RetryableError(f"the ledger {shown_url} does not answer: {error.args[0]}; start it first") from error
    finally:
        engine.dispose()


def chosen_sides(
    trino: Trino, views: Iterable[View], sides: Mapping[str, str], *, has_legacy: bool
) -> tuple[View, ...]:
    """Each view with the body that is in force.

    A view of which the ledger says nothing yet begins on the old side where an old system is shown, and stays there.
    """
    old_sides, present = load_old_sides(), shown(trino)
    chosen = []
    for view in views:
        old = old_sides.get(view.name)
        if old is None:
            chosen.append(view)
            continue
        is_old = has_legacy if view.name not in present else _is_on_old_side(trino, view)
        chosen.append(old if sides.get(view.name, "old" if is_old else "new") == "old" else view)
    return tuple(chosen)


def create_views(trino: Trino, views: Iterable[View]) -> dict[str, Any]:
    """Create or renew each view whose sources are there."""
    present = shown(trino)
    made, waiting = [], {}
    for view in views:
        # The old system's files are not among the platform's tables: Trino itself says where one is missing.
        missing = sorted(name for name in set(view.sources) - present if not name.startswith(f"{LEGACY.name}."))
        if missing:
            waiting[view.name] = missing
            continue
        trino.ask(view.statement)
        present.add(view.name)
        made.append(view.name)
    return {"views": made, "waiting": waiting}


def _is_on_old_side(trino: Trino, view: View) -> bool:
    return _OLD_SIDE in str(trino.ask(f"SHOW CREATE VIEW lake_admin.{view.name}").one()[0])


if __name__ == "__main__":
    sys.exit(main())
