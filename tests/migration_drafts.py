"""Plans over an old system's files that are drawn up and not in force yet."""

from __future__ import annotations

from migration import drafts
from migration.chunks import Chunk
from migration.ledger import Ledger
from migration.planning import Draft, draft_plan
from migration.sources.files import Files
from migration.sources.folders import DiskFolder
from tests.migration_files import OldSystem


def source(old: OldSystem) -> Files:
    """Its files as they are now."""
    return Files(DiskFolder(old.export))


def draft_of(old: OldSystem, ledger: Ledger) -> Draft:
    """A plan of them."""
    return draft_plan(old.job(), ledger, source(old))


def chunks_of(old: OldSystem, ledger: Ledger) -> list[Chunk]:
    """The chunks of such a plan."""
    draft_of(old, ledger)
    return list(ledger.chunks(drafts.id_of(old.job().name)))
