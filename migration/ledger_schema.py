"""The ledger's tables on SQLite and PostgreSQL, built by numbered, gapless steps; a step is never edited later.

Sums of digests do not fit 64 bits and SQLite has no decimals, so they are kept as text; instants are ISO text, UTC.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    func,
    insert,
    select,
)
from sqlalchemy import text as sql
from sqlalchemy.exc import IntegrityError, OperationalError

from spark_jobs.errors import TerminalError

METADATA = MetaData()

VERSIONS = Table(
    "ledger_version", METADATA, Column("version", Integer, primary_key=True), Column("applied_at", String(32))
)

PLANS = Table(
    "plans",
    METADATA,
    Column("plan_id", String(32), primary_key=True),
    Column("job", String(200)),
    Column("job_version", String(32)),
    Column("source", Text),
    Column("created_at", String(32)),
    Column("adopted", BigInteger),
)

CHUNKS = Table(
    "chunks",
    METADATA,
    Column("plan_id", String(32), primary_key=True),
    Column("chunk_id", String(300), primary_key=True),
    Column("target", String(100)),
    Column("source_object", Text),
    Column("bytes", BigInteger),
    Column("mtime_ns", BigInteger),
    Column("sha256", String(64)),
    Column("records", BigInteger),
    Column("header", Text),
    Column("types", Text),
    Column("part", Text),
    Column("rule_version", String(32)),
    Column("written_by", String(32)),
    Column("contract_hash", String(32)),
    Column("state", String(16)),
    Column("rows_read", BigInteger),
    Column("rows_good", BigInteger),
    Column("rows_quarantined", BigInteger),
    Column("rows_duplicate", BigInteger),
    Column("digest_xor", BigInteger),
    Column("digest_sum", Text),
    Column("message", Text),
    Column("seen_by", String(64)),
    Column("updated_at", String(32)),
)

LEASES = Table(
    "leases",
    METADATA,
    Column("job", String(200), primary_key=True),
    Column("owner", String(300)),
    Column("since", String(32)),
    Column("expires_at", String(32)),
    Column("epoch", BigInteger),
)

STEPS = Table(
    "steps",
    METADATA,
    Column("plan_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", String(64)),
    Column("facts", Text),
    Column("at", String(32)),
)

MARKS = Table(
    "marks",
    METADATA,
    Column("plan_id", String(32), primary_key=True),
    Column("target", String(100), primary_key=True),
    Column("table_id", String(64)),
    Column("version", BigInteger),
    Column("transaction_id", String(64)),
)

ACTIVITIES = Table(
    "activities",
    METADATA,
    Column("plan_id", String(32), primary_key=True),
    Column("verb", String(32)),
    Column("run_id", String(64)),
    Column("began_at", String(32)),
    Column("updated_at", String(32)),
    Column("facts", Text),
)

NOT_TAKEN = Table(
    "not_taken",
    METADATA,
    Column("plan_id", String(32), primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("source_object", Text),
    Column("reason", Text),
)

REFUSALS = Table(
    "refusals",
    METADATA,
    Column("plan_id", String(32), primary_key=True),
    Column("target", String(100), primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("records", BigInteger),
    Column("counted_at", String(32)),
)

_STEPS_1 = (
    """CREATE TABLE plans (
        plan_id VARCHAR(32) PRIMARY KEY, job VARCHAR(200) NOT NULL, job_version VARCHAR(32) NOT NULL,
        source TEXT NOT NULL, created_at VARCHAR(32) NOT NULL)""",
    """CREATE TABLE chunks (
        plan_id VARCHAR(32) NOT NULL, chunk_id VARCHAR(300) NOT NULL, target VARCHAR(100) NOT NULL,
        source_object TEXT NOT NULL, bytes BIGINT NOT NULL, mtime_ns BIGINT NOT NULL, sha256 VARCHAR(64) NOT NULL,
        records BIGINT NOT NULL, header TEXT NOT NULL, rule_version VARCHAR(32) NOT NULL,
        contract_hash VARCHAR(32) NOT NULL, state VARCHAR(16) NOT NULL, rows_read BIGINT, rows_good BIGINT,
        rows_quarantined BIGINT, rows_duplicate BIGINT, digest_xor BIGINT, digest_sum TEXT, message TEXT NOT NULL,
        seen_by VARCHAR(64) NOT NULL, updated_at VARCHAR(32) NOT NULL, PRIMARY KEY (plan_id, chunk_id))""",
    "CREATE INDEX chunks_by_state ON chunks (plan_id, target, state)",
    "CREATE INDEX chunks_by_id ON chunks (chunk_id)",
    """CREATE TABLE leases (
        job VARCHAR(200) PRIMARY KEY, owner VARCHAR(300) NOT NULL, since VARCHAR(32) NOT NULL,
        expires_at VARCHAR(32) NOT NULL)""",
    """CREATE TABLE steps (
        plan_id VARCHAR(32) NOT NULL, number INTEGER NOT NULL, name VARCHAR(64) NOT NULL, facts TEXT NOT NULL,
        at VARCHAR(32) NOT NULL, PRIMARY KEY (plan_id, number))""",
)
_STEPS_2 = (
    "ALTER TABLE chunks ADD COLUMN types TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE chunks ADD COLUMN part TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE chunks ADD COLUMN written_by VARCHAR(32) NOT NULL DEFAULT ''",
    "CREATE INDEX chunks_by_object ON chunks (target, source_object)",
    "ALTER TABLE leases ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0",
    """CREATE TABLE marks (
        plan_id VARCHAR(32) NOT NULL, target VARCHAR(100) NOT NULL, table_id VARCHAR(64) NOT NULL,
        version BIGINT NOT NULL, transaction_id VARCHAR(64) NOT NULL, PRIMARY KEY (plan_id, target))""",
    # `trino_catalog.apply` reads it too: which declared body of a switched view is in force, 'old' or 'new'.
    """CREATE TABLE switches (
        view VARCHAR(200) PRIMARY KEY, side VARCHAR(8) NOT NULL, plan_id VARCHAR(32) NOT NULL,
        at VARCHAR(32) NOT NULL)""",
)
_STEPS_3 = (
    """CREATE TABLE activities (
        plan_id VARCHAR(32) PRIMARY KEY, verb VARCHAR(32) NOT NULL, run_id VARCHAR(64) NOT NULL,
        began_at VARCHAR(32) NOT NULL, updated_at VARCHAR(32) NOT NULL, facts TEXT NOT NULL)""",
    """CREATE TABLE refusals (
        plan_id VARCHAR(32) NOT NULL, target VARCHAR(100) NOT NULL, reason TEXT NOT NULL, records BIGINT NOT NULL,
        counted_at VARCHAR(32) NOT NULL, PRIMARY KEY (plan_id, target, reason))""",
)
_STEPS_4 = (
    # Which of a job's plans is in force: the one that was adopted last, whenever it was made first.
    "ALTER TABLE plans ADD COLUMN adopted BIGINT NOT NULL DEFAULT 0",
    """UPDATE plans SET adopted = (
        SELECT count(*) FROM plans AS earlier WHERE earlier.created_at <= plans.created_at)""",
    # What a plan left out of its source; without a reason: no mapping names it.
    """CREATE TABLE not_taken (
        plan_id VARCHAR(32) NOT NULL, number BIGINT NOT NULL, source_object TEXT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (plan_id, number))""",
)
# On which side readers are is said by a table of the lake: a ledger that was restored would move them back.
_STEPS_5 = ("DROP TABLE switches",)
UPGRADES: dict[int, tuple[str, ...]] = {1: _STEPS_1, 2: _STEPS_2, 3: _STEPS_3, 4: _STEPS_4, 5: _STEPS_5}
NEWEST = max(UPGRADES)


def upgrade(engine: Engine, now: str) -> None:
    """Bring the ledger to the newest version, one step a transaction; a ledger from the future is refused."""
    with engine.begin() as connection:
        connection.execute(
            sql("CREATE TABLE IF NOT EXISTS ledger_version (version INTEGER PRIMARY KEY, applied_at VARCHAR(32))")
        )
    found = version_of(engine)
    if found > NEWEST:
        raise TerminalError(
            f"the ledger has version {found}, this program knows {NEWEST}; use the program of that release"
        )
    for number in range(found + 1, NEWEST + 1):
        _apply(engine, number, now)


def version_of(engine: Engine) -> int:
    """The ledger's version; 0 for a new one."""
    with engine.connect() as connection:
        return int(connection.execute(select(func.max(VERSIONS.c.version))).scalar() or 0)


def _apply(engine: Engine, number: int, now: str) -> None:
    try:
        with engine.begin() as connection:
            # The version goes first: of two programs that start at once, its key lets one through and the other wait.
            connection.execute(insert(VERSIONS).values(version=number, applied_at=now))
            _run(connection, UPGRADES[number])
    except (IntegrityError, OperationalError):
        if version_of(engine) < number:
            raise


def _run(connection: Connection, statements: tuple[str, ...]) -> None:
    for statement in statements:
        connection.execute(sql(statement))
