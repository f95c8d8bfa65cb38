"""Which chunks of a plan are to be copied, in the order of its pace; a page at a time, so that any number fits."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import ColumnElement, and_, func, or_, select

from migration.chunks import Chunk, ChunkState
from migration.ledger import PAGE, Ledger
from migration.ledger_schema import CHUNKS
from migration.pace import NAME, NEWEST
from migration.tracking import Amount


def left(ledger: Ledger, plan_id: str) -> dict[str, Amount]:
    """Chunks, bytes and planned records that are not copied yet, by target."""
    sums = (func.count(), func.sum(CHUNKS.c.bytes), func.sum(CHUNKS.c.records))
    query = select(CHUNKS.c.target, *sums).where(CHUNKS.c.plan_id == plan_id, _is_waiting())
    with ledger.engine.connect() as connection:
        rows = connection.execute(query.group_by(CHUNKS.c.target)).all()
    return {target: Amount(*map(int, numbers)) for target, *numbers in rows}


def to_copy(ledger: Ledger, plan_id: str, order: str = NAME) -> Iterator[Chunk]:
    """The chunks that are not copied yet, by their object's time or by name; of objects of one time, by name.

    Those that failed before are tried again, but not those that have rows in the target.
    """
    query = select(CHUNKS.c.chunk_id, CHUNKS.c.mtime_ns).where(CHUNKS.c.plan_id == plan_id, _is_waiting())
    time = CHUNKS.c.mtime_ns.desc() if order == NEWEST else CHUNKS.c.mtime_ns
    sorted_by = (CHUNKS.c.chunk_id,) if order == NAME else (time, CHUNKS.c.chunk_id)
    query = query.order_by(*sorted_by).limit(PAGE)
    page = query
    while True:
        with ledger.engine.connect() as connection:
            found = connection.execute(page).all()
        chunks = {chunk.chunk_id: chunk for chunk in ledger.named(plan_id, [chunk_id for chunk_id, _ in found])}
        yield from (chunks[chunk_id] for chunk_id, _ in found)
        if len(found) < PAGE:
            return
        last_id, last_time = found[-1]
        follows = CHUNKS.c.chunk_id > last_id
        if order != NAME:
            is_further = CHUNKS.c.mtime_ns < last_time if order == NEWEST else CHUNKS.c.mtime_ns > last_time
            follows = or_(is_further, and_(CHUNKS.c.mtime_ns == last_time, follows))
        page = query.where(follows)


def _is_waiting() -> ColumnElement[bool]:
    # A chunk whose verification failed has counts: it needs a repair.
    is_failed = and_(CHUNKS.c.state == str(ChunkState.FAILED), CHUNKS.c.digest_sum.is_(None))
    return or_(CHUNKS.c.state.in_([str(ChunkState.PLANNED), str(ChunkState.COPYING)]), is_failed)
