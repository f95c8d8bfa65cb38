"""Which of its two bodies a switched view has: what `migration.switches` says, a table of the lake."""

from __future__ import annotations

from dataclasses import dataclass

from spark_jobs.contracts.operations import MIGRATION_SWITCHES
from trino_catalog.connection import Trino, literal
from trino_catalog.definitions import View
from trino_catalog.registration import shown

_OLD = "old"  # `migration` writes it
_OLD_TABLES = "legacy.legacy."


@dataclass(frozen=True, slots=True)
class Sides:
    """The old sides of switched views, and what Trino shows; without a switch a new view `begins_old` or not."""

    trino: Trino
    old: dict[str, View]
    present: frozenset[str]
    begins_old: bool

    def body_of(self, view: View) -> View:
        """The view with the body that is in force now; one that was never switched stays where it is."""
        old = self.old.get(view.name)
        if old is None:
            return view
        return old if self._is_old(view.name) else view

    def _is_old(self, name: str) -> bool:
        if MIGRATION_SWITCHES.name in self.present:
            rows = self.trino.ask(
                f"SELECT max_by(side, number) FROM lake_admin.{MIGRATION_SWITCHES.name} WHERE view = {literal(name)}"
            )
            if side := rows.one()[0]:
                return bool(side == _OLD)
        if name not in self.present:
            return self.begins_old
        return _OLD_TABLES in str(self.trino.ask(f"SHOW CREATE VIEW lake_admin.{name}").one()[0])


def sides(trino: Trino, old: dict[str, View], *, begins_old: bool) -> Sides:
    """What can be known of sides now."""
    return Sides(trino, old, frozenset(shown(trino)), begins_old)
