"""Registration: a table takes the place of the view that an earlier release had under its name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from trino_catalog.connection import Trino
from trino_catalog.registration import drop_views


class Catalogue:
    """Has two views, and notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def ask(self, sql: str) -> SimpleNamespace:
        self.told.append(sql)
        return SimpleNamespace(rows=[("migration", "progress"), ("sales", "purchases")])


def test_only_a_view_with_a_table_s_name_is_dropped() -> None:
    catalogue = Catalogue()
    drop_views(cast("Trino", catalogue), {"migration.progress", "migration.chunks", "core.sales"})
    assert catalogue.told[1:] == ["DROP VIEW lake_admin.migration.progress"]
