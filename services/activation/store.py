"""Waves and who is in them, in the ledger's database: SQLite where the stack is embedded, PostgreSQL on a cluster.

A wave and all its assignments come in one transaction. Each unit (a person, or what a trigger tells of) is in a
campaign once. The words of a message stand here from the wave's beginning until it has gone out, so that a repetition
says the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Engine,
    Integer,
    MetaData,
    Row,
    Select,
    String,
    Table,
    Text,
    create_engine,
    insert,
    select,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from spark_jobs.errors import RetryableError, TerminalError

BATCH_ROWS = 50_000
VERSION = 1

_META = MetaData()
_VERSIONS = Table("activation_versions", _META, Column("version", Integer, primary_key=True))
_WAVES = Table(
    "activation_waves",
    _META,
    Column("campaign", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("workspace", String(64), nullable=False),
    Column("state", String(8), nullable=False),  # begun, or sent
    Column("publication", BigInteger, nullable=False),  # of tags, that was in force; 0 for none
    Column("source", BigInteger, nullable=False),  # up to which number of its audience's source it went
    Column("audience", BigInteger, nullable=False),
    Column("entered", BigInteger, nullable=False),
    Column("definition", String(16), nullable=False),
    Column("begun_at", String(32), nullable=False),
    Column("sent_at", String(32)),
)
_ASSIGNMENTS = Table(
    "activation_assignments",
    _META,
    Column("campaign", String(64), primary_key=True),
    Column("unit", Text, primary_key=True),
    Column("wave", Integer, nullable=False),
    Column("person_id", String(36), nullable=False),
    Column("is_control", Boolean, nullable=False),
    Column("type", String(64), nullable=False),
    Column("scope", Text, nullable=False),
    Column("token", String(32), nullable=False),  # of the platform, as hex; the receiver never sees it
    Column("message_key", String(32), nullable=False, index=True),
    Column("payload", Text),
    Column("assigned_at", String(32), nullable=False),
)
ASSIGNED = ("unit", "person_id", "is_control", "type", "scope", "token", "message_key", "payload")


@dataclass(frozen=True, slots=True)
class Standing:
    """A campaign's newest wave."""

    number: int
    state: str
    source: int
    audience: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A wave that is to begin."""

    campaign: str
    number: int
    workspace: str
    publication: int
    source: int
    audience: int
    entered: int
    definition: str


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a message went to: the workspace, and the identifier that it was sent by."""

    workspace: str
    campaign: str
    type: str
    scope: str
    token: str


class Store:
    """The database; its tables are made where they are missing."""

    def __init__(self, engine: Engine) -> None:
        """TerminalError where the tables are of a later release; RetryableError where another run makes them now."""
        self._engine = engine
        try:
            _META.create_all(engine)
            with engine.begin() as connection:
                versions = [row[0] for row in connection.execute(select(_VERSIONS.c.version))]
                if not versions:
                    connection.execute(insert(_VERSIONS).values(version=VERSION))
        except (IntegrityError, ProgrammingError) as error:
            raise RetryableError(
                f"activation's tables cannot be made ({type(error.orig).__name__}): is another run making them? Start "
                "this one again"
            ) from error
        if versions and max(versions) > VERSION:
            raise TerminalError(
                f"activation's tables are of version {max(versions)}, wanted {VERSION}: run that release"
            )

    def newest(self, campaign: str) -> Standing | None:
        """The newest wave; None before the first."""
        columns = (_WAVES.c.number, _WAVES.c.state, _WAVES.c.source, _WAVES.c.audience)
        mine = select(*columns).where(_WAVES.c.campaign == campaign).order_by(_WAVES.c.number.desc()).limit(1)
        with self._engine.connect() as connection:
            row = connection.execute(mine).first()
        return None if row is None else Standing(*row)

    def claim(self, wave: Claim, batches: Iterable[pa.RecordBatch]) -> int:
        """Begin a wave with all its assignments, columns as in ASSIGNED; how many.

        RetryableError where another run began it.
        """
        now = _now()
        values = {name: getattr(wave, name) for name in wave.__slots__}
        shared = {"campaign": wave.campaign, "wave": wave.number, "assigned_at": now}
        count = 0
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_WAVES).values(**values, state="begun", begun_at=now))
                for batch in batches:
                    rows = [{**row, **shared} for row in batch.select(list(ASSIGNED)).to_pylist()]
                    if rows:
                        connection.execute(insert(_ASSIGNMENTS), rows)
                    count += len(rows)
        except IntegrityError as error:
            raise RetryableError(
                f"campaign {wave.campaign}: another run began wave {wave.number} beside this one; nothing of this run "
                "counts: start it again"
            ) from error
        return count

    def sent(self, campaign: str, number: int) -> None:
        """The wave has gone out: its words are forgotten."""
        mine = (_ASSIGNMENTS.c.campaign == campaign) & (_ASSIGNMENTS.c.wave == number)
        its = (_WAVES.c.campaign == campaign) & (_WAVES.c.number == number)
        with self._engine.begin() as connection:
            connection.execute(update(_ASSIGNMENTS).where(mine).values(payload=None))
            connection.execute(update(_WAVES).where(its).values(state="sent", sent_at=_now()))

    def messages(self, campaign: str, number: int) -> Iterator[pa.RecordBatch]:
        """The messages of a wave, by key: key, type, scope, payload, person_id, token (bytes); of the told alone."""
        names = ("message_key", "type", "scope", "payload", "person_id")
        columns = tuple(_ASSIGNMENTS.c[name] for name in names)
        of_wave = (_ASSIGNMENTS.c.campaign == campaign) & (_ASSIGNMENTS.c.wave == number)
        mine = select(*columns, _ASSIGNMENTS.c.token).where(of_wave & ~_ASSIGNMENTS.c.is_control)
        kinds = [(name, pa.string()) for name in ("key", *names[1:])] + [("token", pa.binary())]
        for rows in self._stream(mine.order_by(_ASSIGNMENTS.c.message_key)):
            values = [[*row[:-1], bytes.fromhex(row[-1])] for row in rows]
            yield _batch(values, pa.schema(kinds))

    def units(self, campaign: str) -> Iterator[pa.RecordBatch]:
        """Unit of all assignments of a campaign."""
        mine = select(_ASSIGNMENTS.c.unit).where(_ASSIGNMENTS.c.campaign == campaign)
        for rows in self._stream(mine):
            yield _batch([list(row) for row in rows], pa.schema([("unit", pa.string())]))

    def assigned(self, campaign: str) -> Iterator[pa.RecordBatch]:
        """person_id, is_control, publication and assigned_at (text) of all assignments of waves that have gone out."""
        both = (_WAVES.c.campaign == _ASSIGNMENTS.c.campaign) & (_WAVES.c.number == _ASSIGNMENTS.c.wave)
        columns = (
            _ASSIGNMENTS.c.person_id,
            _ASSIGNMENTS.c.is_control,
            _WAVES.c.publication,
            _ASSIGNMENTS.c.assigned_at,
        )
        mine = select(*columns).join(_WAVES, both)
        kinds = [("person_id", pa.string()), ("is_control", pa.bool_())]
        kinds += [("publication", pa.int64()), ("assigned_at", pa.string())]
        for rows in self._stream(mine.where((_WAVES.c.campaign == campaign) & (_WAVES.c.state == "sent"))):
            yield _batch([list(row) for row in rows], pa.schema(kinds))

    def subjects(self, keys: Sequence[str]) -> dict[str, Subject]:
        """Whom messages went to, by their keys; keys of nobody are left out."""
        named = (_ASSIGNMENTS.c.message_key, _WAVES.c.workspace, _WAVES.c.campaign)
        columns = (*named, _ASSIGNMENTS.c.type, _ASSIGNMENTS.c.scope, _ASSIGNMENTS.c.token)
        both = (_WAVES.c.campaign == _ASSIGNMENTS.c.campaign) & (_WAVES.c.number == _ASSIGNMENTS.c.wave)
        found: dict[str, Subject] = {}
        with self._engine.connect() as connection:
            for place in range(0, len(keys), 500):
                is_one = _ASSIGNMENTS.c.message_key.in_(list(keys[place : place + 500]))
                for key, *rest in connection.execute(select(*columns).join(_WAVES, both).where(is_one)):
                    found[key] = Subject(*rest)
        return found

    def _stream(self, statement: Select[Any]) -> Iterator[Sequence[Row[Any]]]:
        with self._engine.connect() as connection:
            streaming = connection.execution_options(stream_results=True, yield_per=BATCH_ROWS)
            yield from streaming.execute(statement).partitions()


@contextmanager
def opened_store(url: str) -> Iterator[Store]:
    """The store at the ledger's URL; RetryableError where the database does not answer."""
    parsed = make_url(url)
    options: dict[str, int] = {}
    if parsed.get_backend_name() == "sqlite":
        options["timeout"] = 60
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args=options)
    try:
        yield Store(engine)
    except OperationalError as error:
        raise RetryableError(
            f"activation's database does not answer: {type(error.orig).__name__}; is it up?"
        ) from error
    finally:
        engine.dispose()


def _batch(rows: Sequence[Sequence[object]], schema: pa.Schema) -> pa.RecordBatch:
    columns: Iterable[Iterable[object]] = zip(*rows, strict=True) if rows else [[] for _ in schema]
    arrays = [pa.array(list(column), kind.type) for column, kind in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
