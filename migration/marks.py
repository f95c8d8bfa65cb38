"""How far the ledger has heard of a target's commits, and what it learns from the next ones, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, and_, delete, insert, select

from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import IN_TARGET, PAGE, Ledger, at, chunk_of, chunk_values, now
from migration.ledger_schema import CHUNKS, MARKS
from spark_jobs.storage.fingerprints import Fingerprint


@dataclass(frozen=True, slots=True)
class Mark:
    """A commit of a table; `transaction_id` tells it from another of the same version, in a table that was restored."""

    table_id: str
    version: int
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit says of one chunk: its counts from now on, or what left it."""

    chunk_id: str
    counts: Counts | None = None
    taken: Fingerprint | None = None

    def applied_to(self, found: Counts | None) -> Counts | None:
        """The counts after the change; None where nothing is known that could change."""
        if self.counts is not None or found is None or self.taken is None:
            return self.counts or found
        return Counts(found.read, found.quarantined, found.duplicate + self.taken.rows, found.good - self.taken)


def read(ledger: Ledger, plan_id: str, target: str) -> Mark | None:
    """The last commit of a target that a plan's chunks have heard of."""
    query = select(MARKS).where(MARKS.c.plan_id == plan_id, MARKS.c.target == target)
    with ledger.engine.connect() as connection:
        row = connection.execute(query).mappings().first()
    return Mark(row["table_id"], row["version"], row["transaction_id"]) if row else None


def forget(ledger: Ledger, plan_id: str, target: str) -> None:
    """Begin anew next time."""
    with ledger.engine.begin() as connection:
        connection.execute(delete(MARKS).where(MARKS.c.plan_id == plan_id, MARKS.c.target == target))


def replay(ledger: Ledger, of: tuple[str, str], changes: Sequence[Change], until: Mark, *, run_id: str) -> int:
    """Apply changes in their order to the chunks of a plan and target (`of`), and remember `until`; how many differ."""
    plan_id, _ = of
    with ledger.engine.begin() as connection:
        found = _chunks(connection, plan_id, sorted({change.chunk_id for change in changes}))
        counts = {chunk_id: chunk.counts for chunk_id, chunk in found.items()}
        for change in changes:
            if change.chunk_id in found:  # others are of another plan
                counts[change.chunk_id] = change.applied_to(counts[change.chunk_id])
        healed = sum(_take_over(connection, found[chunk_id], held, run_id) for chunk_id, held in counts.items())
        _remember(connection, of, until)
    return healed


def remember(ledger: Ledger, of: tuple[str, str], mark: Mark) -> None:
    """Begin there next time; `of` is a plan and a table."""
    with ledger.engine.begin() as connection:
        _remember(connection, of, mark)


def inherit(ledger: Ledger, of: tuple[str, str], table_id: str, *, run_id: str) -> Mark | None:
    """What the plan that heard last of this very table knows of the same chunks, for a plan that has heard of nothing.

    None where no plan has heard of it.
    """
    plan_id, target = of
    is_here = (MARKS.c.target == target, MARKS.c.table_id == table_id, MARKS.c.plan_id != plan_id)
    with ledger.engine.begin() as connection:
        query = select(MARKS).where(*is_here).order_by(MARKS.c.version.desc()).limit(1)
        row = connection.execute(query).mappings().first()
        if row is None:
            return None
        old, new = CHUNKS.alias("old"), CHUNKS.alias("new")
        same = and_(old.c.chunk_id == new.c.chunk_id, new.c.plan_id == plan_id, new.c.target == target)
        known = select(old).join(new, same).where(old.c.plan_id == row["plan_id"], old.c.state.in_(IN_TARGET))
        for heard in connection.execute(known).mappings().all():
            chunk = chunk_of(heard)
            mine = replace(chunk, plan_id=plan_id, state=ChunkState.PLANNED, counts=None)
            _take_over(connection, mine, chunk.counts, run_id)
        mark = Mark(row["table_id"], row["version"], row["transaction_id"])
        _remember(connection, of, mark)
    return mark


def _remember(connection: Connection, of: tuple[str, str], mark: Mark) -> None:
    key = {"plan_id": of[0], "target": of[1]}
    connection.execute(delete(MARKS).filter_by(**key))
    values = {"table_id": mark.table_id, "version": mark.version, "transaction_id": mark.transaction_id}
    connection.execute(insert(MARKS).values(**key, **values))


def _chunks(connection: Connection, plan_id: str, names: list[str]) -> dict[str, Chunk]:
    found: dict[str, Chunk] = {}
    for begin in range(0, len(names), PAGE):
        page = names[begin : begin + PAGE]
        query = select(CHUNKS).where(CHUNKS.c.plan_id == plan_id, CHUNKS.c.chunk_id.in_(page))
        found |= {row["chunk_id"]: chunk_of(row) for row in connection.execute(query).mappings()}
    return found


def _take_over(connection: Connection, chunk: Chunk, counts: Counts | None, run_id: str) -> int:
    """Store the counts; 1 where the ledger had others."""
    # A chunk that failed its verification stays failed: the log cannot say that its rows are whole.
    was_verified_red = chunk.state is ChunkState.FAILED and chunk.counts is not None
    is_known = chunk.counts == counts and chunk.state in IN_TARGET
    if counts is None or was_verified_red or is_known:
        connection.execute(at(chunk).values(seen_by=run_id))
        return 0
    values = chunk_values(chunk.moved_to(ChunkState.COPIED, counts=counts))
    connection.execute(at(chunk).values(**values, seen_by=run_id, updated_at=now()))
    return 1
