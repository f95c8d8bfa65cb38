"""The ledger: plans, chunks and steps in SQLite or PostgreSQL. Delta's log is the truth; the ledger heals from it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import (
    Engine,
    RowMapping,
    Select,
    Update,
    create_engine,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from migration.chunks import Chunk, ChunkState, Counts
from migration.holding import Holder, changing
from migration.ledger_schema import CHUNKS, PLANS, STEPS, upgrade
from spark_jobs.errors import PlatformError, RetryableError, TerminalError
from spark_jobs.storage.fingerprints import Fingerprint

PAGE = 1_000
BUSY_TIMEOUT_S = 30
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Plan:
    """A frozen plan: which job, with which mappings, over which folder."""

    plan_id: str
    job: str
    job_version: str
    source: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to a plan as a whole, such as a verification or a cut-over."""

    name: str
    facts: dict[str, Any]
    at: str


def now(*, earlier_s: int = 0) -> str:
    """This instant, or one before it, as the ledger writes it; the texts sort as the instants do."""
    return (datetime.now(UTC) - timedelta(seconds=earlier_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Ledger:
    """An open ledger; safe to share between threads. Where it has a holder, chunks are moved for it alone."""

    def __init__(self, engine: Engine) -> None:
        """Take an engine whose schema is at the newest version; use `open_ledger`."""
        self.engine = engine
        self.holder: Holder | None = None

    def plan(self, plan_id: str) -> Plan | None:
        """The plan of this id."""
        return next(self._plans(_PLANS.where(PLANS.c.plan_id == plan_id)), None)

    def plan_in_force(self, job: str) -> Plan | None:
        """The plan that the job's verbs work on: the one that was made last, or made again."""
        return next(iter(self.plans_of(job)), None)

    def plans_of(self, job: str) -> list[Plan]:
        """The job's plans, the one in force first, then the one before it."""
        order = (PLANS.c.adopted.desc(), PLANS.c.created_at.desc())
        return list(self._plans(_PLANS.where(PLANS.c.job == job).order_by(*order)))

    def plans(self) -> list[Plan]:
        """All plans, oldest first."""
        return list(self._plans(_PLANS.order_by(PLANS.c.created_at)))

    def _plans(self, query: Select[Any]) -> Iterator[Plan]:
        with self.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        yield from (Plan(**row) for row in rows)

    def chunks(
        self, plan_id: str, *, target: str | None = None, states: Iterable[ChunkState] = ChunkState, since: str = ""
    ) -> Iterator[Chunk]:
        """The plan's chunks by id, a page at a time, so that any number of them fits; `since`: those changed then."""
        after = ""
        while True:
            query = select(CHUNKS).where(CHUNKS.c.plan_id == plan_id, CHUNKS.c.chunk_id > after)
            query = query.where(CHUNKS.c.state.in_([str(state) for state in states]), CHUNKS.c.updated_at >= since)
            query = query if target is None else query.where(CHUNKS.c.target == target)
            with self.engine.connect() as connection:
                page = connection.execute(query.order_by(CHUNKS.c.chunk_id).limit(PAGE)).mappings().all()
            yield from map(chunk_of, page)
            if len(page) < PAGE:
                return
            after = page[-1]["chunk_id"]

    def chunk(self, plan_id: str, chunk_id: str) -> Chunk:
        """One chunk; TerminalError where the plan has none of this id."""
        query = select(CHUNKS).where(CHUNKS.c.plan_id == plan_id, CHUNKS.c.chunk_id == chunk_id)
        with self.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        if row is None:
            raise TerminalError(f"plan {plan_id} has no chunk {chunk_id}; `migration status` lists its chunks")
        return chunk_of(row)

    def named(self, plan_id: str, names: Sequence[str]) -> list[Chunk]:
        """The plan's chunks of these ids, PAGE of them at most, by id; ids that it has not are passed over."""
        query = select(CHUNKS).where(CHUNKS.c.plan_id == plan_id, CHUNKS.c.chunk_id.in_(names))
        with self.engine.connect() as connection:
            return [chunk_of(row) for row in connection.execute(query.order_by(CHUNKS.c.chunk_id)).mappings()]

    def of_other_rules(self, plan_id: str, target: str, rule_version: str) -> Chunk | None:
        """A chunk whose rows in the target were written by another mapping than this one."""
        query = select(CHUNKS).where(
            CHUNKS.c.plan_id == plan_id, CHUNKS.c.target == target, CHUNKS.c.state.in_(IN_TARGET)
        )
        query = query.where(CHUNKS.c.written_by.not_in(["", rule_version])).limit(1)
        with self.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return chunk_of(row) if row else None

    def move(self, chunk: Chunk, state: ChunkState, *, counts: Counts | None = None, message: str = "") -> Chunk:
        """Store a legal move; TerminalError where the chunk was moved meanwhile, RetryableError where the lease was."""
        moved = chunk.moved_to(state, counts=counts, message=message)
        self.store([(chunk, moved)])
        return moved

    def store(self, moves: Iterable[tuple[Chunk, Chunk]]) -> None:
        """Store legal moves, all or none: chunks as they were and as they are; TerminalError as for `move`."""
        with changing(self.engine, self.holder) as connection:
            for chunk, moved in moves:
                condition = at(chunk).where(CHUNKS.c.state == str(chunk.state))
                values = {**chunk_values(moved), "updated_at": now()}
                if connection.execute(condition.values(**values)).rowcount != 1:
                    raise TerminalError(f"chunk {chunk.chunk_id} is no longer {chunk.state}; run `migration status`")

    def unseen(self, plan_id: str, target: str, run_id: str) -> Iterator[Chunk]:
        """Chunks that the ledger holds for copied and that this run did not meet in the target's log."""
        query = select(CHUNKS.c.chunk_id).where(CHUNKS.c.plan_id == plan_id, CHUNKS.c.target == target)
        query = query.where(CHUNKS.c.state.in_(IN_TARGET), CHUNKS.c.seen_by != run_id)
        with self.engine.connect() as connection:
            names = connection.execute(query).scalars().all()
        yield from (self.chunk(plan_id, name) for name in names)

    def totals(self, plan_id: str) -> list[dict[str, Any]]:
        """Chunks, bytes and records by target and state; one row a pair."""
        summed = [func.coalesce(func.sum(CHUNKS.c[n]), 0).label(n) for n in (*_SUMMED, "bytes", "records")]
        query = select(CHUNKS.c.target, CHUNKS.c.state, func.count().label("chunks"), *summed)
        query = query.where(CHUNKS.c.plan_id == plan_id).group_by(CHUNKS.c.target, CHUNKS.c.state)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(CHUNKS.c.target, CHUNKS.c.state)).mappings().all()
        return [{k: v if isinstance(v, str) else int(v) for k, v in row.items()} for row in rows]

    def record_step(self, plan_id: str, name: str, facts: Mapping[str, Any]) -> None:
        """Append a step to the plan's history."""
        with self.engine.begin() as connection:
            number = connection.execute(select(func.max(STEPS.c.number)).where(STEPS.c.plan_id == plan_id)).scalar()
            values = {"plan_id": plan_id, "number": (number or 0) + 1, "name": name, "at": now()}
            connection.execute(insert(STEPS).values(**values, facts=json.dumps(facts, sort_keys=True)))

    def steps(self, plan_id: str) -> list[Step]:
        """The plan's history, oldest first."""
        query = select(STEPS.c.name, STEPS.c.facts, STEPS.c.at).where(STEPS.c.plan_id == plan_id)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(STEPS.c.number)).all()
        return [Step(name, json.loads(facts), at) for name, facts, at in rows]

    def last_step(self, plan_id: str, *names: str) -> Step | None:
        """The newest step of one of these names."""
        return next((step for step in reversed(self.steps(plan_id)) if step.name in names), None)


_PLANS = select(*(PLANS.c[name] for name in Plan.__slots__))
IN_TARGET = (ChunkState.COPIED, ChunkState.VERIFIED)
_SUMMED = ("rows_read", "rows_good", "rows_quarantined", "rows_duplicate")


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """The items in lists of at most `size`."""
    rest = iter(items)
    while page := list(islice(rest, size)):
        yield page


def at(chunk: Chunk) -> Update:
    """An update of the chunk's row."""
    return update(CHUNKS).where(CHUNKS.c.plan_id == chunk.plan_id, CHUNKS.c.chunk_id == chunk.chunk_id)


def plan_values(plan: Plan) -> dict[str, str]:
    """A plan as a row."""
    return {name: getattr(plan, name) for name in Plan.__slots__}


def chunk_values(chunk: Chunk) -> dict[str, Any]:
    """A chunk as a row; `seen_by` and `updated_at` are the ledger's own."""
    plain = ("plan_id", "chunk_id", "target", "source_object", "bytes", "mtime_ns", "sha256", "records")
    values = {
        name: getattr(chunk, name)
        for name in (*plain, "rule_version", "contract_hash", "message", "part", "written_by")
    }
    counts = chunk.counts
    return {
        **values,
        "header": json.dumps(chunk.header),
        "types": json.dumps(chunk.types),
        "state": str(chunk.state),
        "rows_read": counts and counts.read,
        "rows_good": counts and counts.good.rows,
        "rows_quarantined": counts and counts.quarantined,
        "rows_duplicate": counts and counts.duplicate,
        "digest_xor": counts and counts.good.digest_xor,
        "digest_sum": None if counts is None else str(counts.good.digest_sum),
    }


def chunk_of(row: RowMapping) -> Chunk:
    """The chunk in a row."""
    counts = None
    if row["digest_sum"] is not None:
        good = Fingerprint(row["rows_good"], row["digest_xor"], int(row["digest_sum"]))
        counts = Counts(row["rows_read"], row["rows_quarantined"], row["rows_duplicate"], good)
    plain = ("plan_id", "chunk_id", "target", "source_object", "bytes", "mtime_ns", "sha256", "records")
    return Chunk(
        **{name: row[name] for name in (*plain, "rule_version", "contract_hash", "message", "part", "written_by")},
        header=_names(row["header"]),
        types=_names(row["types"]),
        state=ChunkState(row["state"]),
        counts=counts,
    )


@lru_cache(maxsize=1_000)
def _names(text: str) -> tuple[str, ...]:
    """Chunks of one layout share it, or 100,000 of them with 100 columns each would take most of a gigabyte."""
    return tuple(json.loads(text))


@contextmanager
def open_ledger(url: str) -> Iterator[Ledger]:
    """Open the ledger at a database URL and bring its schema up to date; database errors become platform errors."""
    try:
        engine = _engine(url)
    except (ArgumentError, NoSuchModuleError) as error:
        raise TerminalError(
            "[ledger] url is no database URL; wanted sqlite:////PATH or postgresql+psycopg://USER@HOST/DATABASE"
        ) from error
    try:
        upgrade(engine, now())
        yield Ledger(engine)
    except IntegrityError as error:
        raise RetryableError(
            f"the ledger was changed by another process ({type(error.orig).__name__}); try again"
        ) from error
    except PlatformError:
        raise
    except SQLAlchemyError as error:
        # The text of the statement may be long and the URL may hold a password: name the driver's first line only.
        text = str(getattr(error, "orig", error)).strip().splitlines()[0]
        shown = engine.url.render_as_string(hide_password=True)
        raise RetryableError(f"the ledger {shown} does not answer: {text}; start it or mend [ledger] url") from error
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _durable(connection: sqlite3.Connection, _record: object) -> None:
        # Readers do not wait for the writer, and a commit survives a power cut.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")

    return engine
