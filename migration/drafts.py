"""Plans in the making: their chunks lie in the ledger under an id that no plan has, until they are adopted or left."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from sqlalchemy import ColumnElement, FromClause, and_, delete, exists, func, insert, not_, select, update

from migration.chunks import Chunk, ChunkState
from migration.ledger import PAGE, Ledger, Plan, batched, chunk_values, now, plan_values
from migration.ledger_schema import CHUNKS, NOT_TAKEN, PLANS
from migration.mapping import Mapping

_DIGITS = 16


def id_of(job: str) -> str:
    """Under which the chunks of a job's draft lie; one operator at a time makes one."""
    return f"draft-{hashlib.sha256(job.encode()).hexdigest()[:_DIGITS]}"


def begin(ledger: Ledger, job: str) -> None:
    """Forget a draft that was left."""
    with ledger.engine.begin() as connection:
        for table in (CHUNKS, NOT_TAKEN):
            connection.execute(delete(table).where(table.c.plan_id == id_of(job)))


def add(ledger: Ledger, job: str, chunks: Iterable[Chunk]) -> None:
    """Put chunks into the draft."""
    for page in batched(chunks, PAGE):
        values = [{**chunk_values(one), "plan_id": id_of(job), "seen_by": "", "updated_at": now()} for one in page]
        with ledger.engine.begin() as connection:
            connection.execute(insert(CHUNKS), values)


def leave_out(ledger: Ledger, job: str, objects: Iterable[tuple[str, str]]) -> None:
    """Note in the draft what it does not take: object and reason; '' where no mapping names it."""
    for page in batched(enumerate(objects, start=1), PAGE):
        values = [
            {"plan_id": id_of(job), "number": number, "source_object": name, "reason": reason}
            for number, (name, reason) in page
        ]
        with ledger.engine.begin() as connection:
            connection.execute(insert(NOT_TAKEN), values)


def chunk_ids(ledger: Ledger, job: str) -> Iterator[str]:
    """The draft's chunks by id."""
    for chunk in ledger.chunks(id_of(job)):
        yield chunk.chunk_id


def known_parts(ledger: Ledger, mapping: Mapping, source_object: str) -> Iterator[Chunk]:
    """The parts of an object that the plan adopted last took into the mapping's table, by id.

    None where another mapping planned them and nothing was begun: then they may be cut anew.
    """
    mine = and_(CHUNKS.c.target == mapping.table.name, CHUNKS.c.source_object == source_object)
    plans = select(PLANS.c.plan_id).join(CHUNKS, CHUNKS.c.plan_id == PLANS.c.plan_id).where(mine)
    begun = select(CHUNKS.c.chunk_id).where(mine, CHUNKS.c.state != str(ChunkState.PLANNED)).limit(1)
    with ledger.engine.connect() as connection:
        newest = connection.execute(plans.order_by(PLANS.c.adopted.desc()).limit(1)).scalar()
        is_begun = connection.execute(begun).first() is not None
    for chunk in ledger.chunks(newest, target=mapping.table.name) if newest else ():
        if chunk.source_object == source_object and (is_begun or chunk.rule_version == mapping.version):
            yield chunk


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
    other = and_(old.c.chunk_id != new.c.chunk_id, _has_rows(old), old.c.plan_id != id_of(job))
    query = select(new.c.source_object, old.c.chunk_id).join(old, and_(same, other))
    query = query.where(new.c.plan_id == id_of(job)).distinct().order_by(new.c.source_object, old.c.chunk_id)
    with ledger.engine.connect() as connection:
        return [(name, chunk_id) for name, chunk_id in connection.execute(query)]


def copied_with_other_count(ledger: Ledger, job: str) -> list[tuple[str, int, int]]:
    """Chunks of the draft that stand in the target, from any plan, with another number of records: id, old, new."""
    new, old = CHUNKS.alias("new"), CHUNKS.alias("old")
    is_other = and_(new.c.chunk_id == old.c.chunk_id, new.c.records != old.c.records, _has_rows(old))
    query = select(new.c.chunk_id, old.c.records, new.c.records).join(old, and_(is_other, old.c.plan_id != id_of(job)))
    query = query.where(new.c.plan_id == id_of(job)).distinct().order_by(new.c.chunk_id)
    with ledger.engine.connect() as connection:
        return [(chunk_id, before, now) for chunk_id, before, now in connection.execute(query)]


def copied_in_other_parts(ledger: Ledger, job: str) -> list[tuple[str, str]]:
    """Objects of the draft of which a part that is none of the draft's stands in the target: object, a chunk's id."""
    old, new, same = CHUNKS.alias("old"), CHUNKS.alias("new"), CHUNKS.alias("same")
    mine = and_(new.c.plan_id == id_of(job), new.c.target == old.c.target, new.c.source_object == old.c.source_object)
    kept = and_(same.c.plan_id == id_of(job), same.c.chunk_id == old.c.chunk_id)
    query = select(old.c.source_object, func.min(old.c.chunk_id)).where(
        old.c.part != "", _has_rows(old), exists().where(mine), not_(exists().where(kept))
    )
    with ledger.engine.connect() as connection:
        found = connection.execute(query.group_by(old.c.source_object).order_by(old.c.source_object))
        return [(name, chunk_id) for name, chunk_id in found]


def _has_rows(chunks: FromClause) -> ColumnElement[bool]:
    """True where the target has a chunk's rows, be they red or about to be repaired: counts come from its commit."""
    return and_(chunks.c.digest_sum.is_not(None), chunks.c.state != str(ChunkState.PLANNED))


def take_out(ledger: Ledger, job: str, *, source_object: str = "", chunk_id: str = "") -> None:
    """Take an object, or one chunk, out of the draft."""
    named = CHUNKS.c.chunk_id == chunk_id if chunk_id else CHUNKS.c.source_object == source_object
    with ledger.engine.begin() as connection:
        connection.execute(delete(CHUNKS).where(CHUNKS.c.plan_id == id_of(job), named))


def adopt(ledger: Ledger, plan: Plan) -> None:
    """Put the draft in force as this plan, all or nothing; of a known plan only what was looked at again is renewed.

    That is where the source is and what of it is not taken, the times of objects, and the records of parts that are not
    copied yet (of copied ones they are the same).
    """
    draft = id_of(plan.job)
    new = CHUNKS.alias("new")
    mine = and_(new.c.plan_id == draft, new.c.chunk_id == CHUNKS.c.chunk_id)
    renewed = {name: select(new.c[name]).where(mine).scalar_subquery() for name in ("mtime_ns", "records", "bytes")}
    is_it = PLANS.c.plan_id == plan.plan_id
    with ledger.engine.begin() as connection:
        last = connection.execute(select(func.coalesce(func.max(PLANS.c.adopted), 0))).scalar_one()
        in_force = {"source": plan.source, "adopted": last + 1}
        is_known = connection.execute(update(PLANS).where(is_it).values(**in_force)).rowcount
        connection.execute(delete(NOT_TAKEN).where(NOT_TAKEN.c.plan_id == plan.plan_id))
        connection.execute(update(NOT_TAKEN).where(NOT_TAKEN.c.plan_id == draft).values(plan_id=plan.plan_id))
        if not is_known:
            connection.execute(insert(PLANS).values(**{**plan_values(plan), **in_force}))
            connection.execute(update(CHUNKS).where(CHUNKS.c.plan_id == draft).values(plan_id=plan.plan_id))
            return
        known = update(CHUNKS).where(CHUNKS.c.plan_id == plan.plan_id, exists().where(mine))
        connection.execute(known.values(**renewed))
        connection.execute(delete(CHUNKS).where(CHUNKS.c.plan_id == draft))
