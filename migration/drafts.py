"""Plans in the making: their chunks lie in the ledger under an id that no plan has, until they are adopted or left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from sqlalchemy import and_, delete, exists, func, insert, select, update

from migration.chunks import Chunk
from migration.ledger import IN_TARGET, PAGE, Ledger, Plan, batched, chunk_values, now, plan_values
from migration.ledger_schema import CHUNKS, PLANS

_DIGITS = 16


def id_of(job: str) -> str:
    """Under which the chunks of a job's draft lie; one operator at a time makes one."""
    return f"draft-{hashlib.sha256(job.encode()).hexdigest()[:_DIGITS]}"


def begin(ledger: Ledger, job: str) -> None:
    """Forget a draft that was left."""
    with ledger.engine.begin() as connection:
        connection.execute(delete(CHUNKS).where(CHUNKS.c.plan_id == id_of(job)))


def add(ledger: Ledger, job: str, chunks: Iterable[Chunk]) -> None:
    """Put chunks into the draft."""
    for page in batched(chunks, PAGE):
        values = [{**chunk_values(one), "plan_id": id_of(job), "seen_by": "", "updated_at": now()} for one in page]
        with ledger.engine.begin() as connection:
            connection.execute(insert(CHUNKS), values)


def chunk_ids(ledger: Ledger, job: str) -> Iterator[str]:
    """The draft's chunks by id."""
    for chunk in ledger.chunks(id_of(job)):
        yield chunk.chunk_id


def is_like(ledger: Ledger, job: str, plan_id: str) -> bool:
    """True where the draft has exactly the chunks that a plan has."""
    new, old = CHUNKS.alias("new"), CHUNKS.alias("old")
    both = new.join(old, and_(new.c.chunk_id == old.c.chunk_id, old.c.plan_id == plan_id))
    with ledger.engine.connect() as connection:
        shared = connection.execute(select(func.count()).select_from(both).where(new.c.plan_id == id_of(job))).scalar()
        sizes = [
            connection.execute(select(func.count()).where(CHUNKS.c.plan_id == name)).scalar()
            for name in (id_of(job), plan_id)
        ]
    return sizes == [shared, shared]


def copied_with_other_content(ledger: Ledger, job: str) -> list[tuple[str, str]]:
    """Objects of the draft of which another content stands in the target, from any plan: object, that chunk's id."""
    new, old = CHUNKS.alias("new"), CHUNKS.alias("old")
    same = and_(new.c.source_object == old.c.source_object, new.c.target == old.c.target, new.c.part == old.c.part)
    other = and_(old.c.chunk_id != new.c.chunk_id, old.c.state.in_(IN_TARGET), old.c.plan_id != id_of(job))
    query = select(new.c.source_object, old.c.chunk_id).join(old, and_(same, other))
    query = query.where(new.c.plan_id == id_of(job)).distinct().order_by(new.c.source_object, old.c.chunk_id)
    with ledger.engine.connect() as connection:
        return [(name, chunk_id) for name, chunk_id in connection.execute(query)]


def adopt(ledger: Ledger, plan: Plan) -> None:
    """Put the draft in force as this plan, all or nothing; of a known plan only the times of objects are renewed."""
    draft = id_of(plan.job)
    new = CHUNKS.alias("new")
    mine = and_(new.c.plan_id == draft, new.c.chunk_id == CHUNKS.c.chunk_id)
    renewed = select(new.c.mtime_ns).where(mine).scalar_subquery()
    with ledger.engine.begin() as connection:
        if connection.execute(select(PLANS.c.plan_id).where(PLANS.c.plan_id == plan.plan_id)).first() is None:
            connection.execute(insert(PLANS).values(**plan_values(plan)))
            connection.execute(update(CHUNKS).where(CHUNKS.c.plan_id == draft).values(plan_id=plan.plan_id))
            return
        known = update(CHUNKS).where(CHUNKS.c.plan_id == plan.plan_id, exists().where(mine))
        connection.execute(known.values(mtime_ns=renewed))
        connection.execute(delete(CHUNKS).where(CHUNKS.c.plan_id == draft))
