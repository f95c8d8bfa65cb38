"""What the ledger remembers of files that were planned before, so that they need not be read again for every plan.

Size and time say that a file is the planned one. Verification compares its bytes all the same (`rehashing`).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from migration.chunks import Chunk
from migration.ledger import Ledger, chunk_of
from migration.ledger_schema import CHUNKS, PLANS
from migration.mapping import Mapping


def planned_files(
    ledger: Ledger, source: str, mapping: Mapping, names: Sequence[str]
) -> dict[tuple[str, int, int], Chunk]:
    """What any plan over this source took files of these names as by this very mapping, by name, bytes and time.

    Left out is what plans do not agree about: two contents of one size and time were met, so the file must be read.
    """
    query = select(CHUNKS).join(PLANS, PLANS.c.plan_id == CHUNKS.c.plan_id)
    query = query.where(
        PLANS.c.source == source,
        CHUNKS.c.target == mapping.table.name,
        CHUNKS.c.source_object.in_(names),
        CHUNKS.c.part == "",
        CHUNKS.c.rule_version == mapping.version,
        CHUNKS.c.contract_hash == mapping.table.contract_hash,
    )
    found: dict[tuple[str, int, int], Chunk] = {}
    contradicted = set()
    with ledger.engine.connect() as connection:
        for chunk in map(chunk_of, connection.execute(query).mappings()):
            version = (chunk.source_object, chunk.bytes, chunk.mtime_ns)
            if found.setdefault(version, chunk).chunk_id != chunk.chunk_id:
                contradicted.add(version)
    return {version: chunk for version, chunk in found.items() if version not in contradicted}
