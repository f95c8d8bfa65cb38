"""How far the ledger has heard of a target's commits, and what it learns from the next ones, in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from migration.chunks import Chunk, ChunkState, Counts
from migration.ledger import IN_TARGET, PAGE, Ledger, chunk_of, chunk_values, now
from migration.ledger_schema import CHUNKS, MARKS
from spark_jobs.storage.fingerprints import EMPTY, Fingerprint


@dataclass(frozen=True, slots=True)
class Mark:
    """A commit of a table; `transaction_id` tells it from another of the same version, in a table that was restored."""

    table_id: str
    version: int
    transaction_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """What one commit says of one chunk: its counts from now on, what left it, or what came in from the quarantine.

    `written_by` is the version of the mapping that did it; without a chunk's id it is that of all chunks from now on.
    """

    chunk_id: str = ""
    counts: Counts | None = None
    taken: Fingerprint = EMPTY
    requeued: Fingerprint = EMPTY
    written_by: str = ""

    def applied_to(self, chunk: Chunk) -> Chunk:
        """The chunk after the change; as it was where nothing is known of it that could change."""
        written_by = self.written_by or chunk.written_by
        found = self.counts or chunk.counts
        if found is None:
            return chunk
        good, out = found.good - self.taken + self.requeued, found.quarantined - self.requeued.rows
        counts = Counts(found.read, out, found.duplicate + self.taken.rows, good)
        return replace(chunk, counts=counts, written_by=written_by)


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
    with ledger.engine.begin() as connection:
        found = _chunks(connection, of, sorted({change.chunk_id for change in changes}))
        changed = dict(found)
        for change in changes:
            if not change.chunk_id:
                _all_written_by(connection, of, change.written_by)
                changed = {chunk_id: replace(one, written_by=change.written_by) for chunk_id, one in changed.items()}
            elif change.chunk_id in changed:  # others are of another plan, or rows that were derived from another table
                changed[change.chunk_id] = change.applied_to(changed[change.chunk_id])
        healed = _take_over(connection, [(chunk, changed[name]) for name, chunk in found.items()], run_id)
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
        for page in _known(connection, row["plan_id"], target):
            mine = _chunks(connection, of, sorted(page))
            pairs = [
                (one, replace(one, counts=page[name].counts, written_by=page[name].written_by))
                for name, one in mine.items()
            ]
            _take_over(connection, pairs, run_id)
        mark = Mark(row["table_id"], row["version"], row["transaction_id"])
        _remember(connection, of, mark)
    return mark


def _known(connection: Connection, plan_id: str, target: str) -> Iterator[dict[str, Chunk]]:
    """A plan's chunks that stand in the target, by id, a page at a time."""
    mine = (CHUNKS.c.plan_id == plan_id, CHUNKS.c.target == target, CHUNKS.c.state.in_(IN_TARGET))
    after = ""
    while True:
        query = select(CHUNKS).where(*mine, CHUNKS.c.chunk_id > after).order_by(CHUNKS.c.chunk_id).limit(PAGE)
        page = {row["chunk_id"]: chunk_of(row) for row in connection.execute(query).mappings()}
        if not page:
            return
        yield page
        after = list(page)[-1]  # by the database's order, which may not be Python's


def _remember(connection: Connection, of: tuple[str, str], mark: Mark) -> None:
    key = {"plan_id": of[0], "target": of[1]}
    connection.execute(delete(MARKS).filter_by(**key))
    values = {"table_id": mark.table_id, "version": mark.version, "transaction_id": mark.transaction_id}
    connection.execute(insert(MARKS).values(**key, **values))


def _chunks(connection: Connection, of: tuple[str, str], names: list[str]) -> dict[str, Chunk]:
    mine = (CHUNKS.c.plan_id == of[0], CHUNKS.c.target == of[1])
    found: dict[str, Chunk] = {}
    for begin in range(0, len(names), PAGE):
        page = names[begin : begin + PAGE]
        query = select(CHUNKS).where(*mine, CHUNKS.c.chunk_id.in_(page))
        found |= {row["chunk_id"]: chunk_of(row) for row in connection.execute(query).mappings()}
    return found


def _all_written_by(connection: Connection, of: tuple[str, str], rule_version: str) -> None:
    mine = (CHUNKS.c.plan_id == of[0], CHUNKS.c.target == of[1], CHUNKS.c.state.in_(IN_TARGET))
    connection.execute(update(CHUNKS).where(*mine).values(written_by=rule_version))


def _take_over(connection: Connection, heard: Sequence[tuple[Chunk, Chunk]], run_id: str) -> int:
    """Store what was heard of chunks, each as the ledger has it and as it is; how many had other counts."""
    seen, other = [], []
    for chunk, now_is in heard:
        # A chunk that failed its verification stays failed: the log cannot say that its rows are whole.
        was_verified_red = chunk.state is ChunkState.FAILED and chunk.counts is not None
        is_known = chunk.counts == now_is.counts and chunk.state in IN_TARGET
        key = {"plan": chunk.plan_id, "chunk": chunk.chunk_id, "seen_by": run_id}
        if now_is.counts is None or was_verified_red or is_known:
            seen.append({**key, "written_by": now_is.written_by})
        else:
            moved = replace(chunk.moved_to(ChunkState.COPIED, counts=now_is.counts), written_by=now_is.written_by)
            other.append({**key, **chunk_values(moved), "updated_at": now()})
    for rows in (seen, other):
        if rows:
            connection.execute(_AT_KEY, rows)
    return len(other)


_AT_KEY = update(CHUNKS).where(CHUNKS.c.plan_id == bindparam("plan"), CHUNKS.c.chunk_id == bindparam("chunk"))
