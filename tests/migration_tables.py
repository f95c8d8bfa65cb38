"""Databases of an old system for tests of the migration: a server, an account that reads it, mappings and jobs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pyspark.sql import DataFrame, SparkSession
from sqlalchemy import NullPool, create_engine

from migration import drafts
from migration.chunks import Chunk
from migration.jobfile import Job, load_job
from migration.lease import held
from migration.ledger import open_ledger
from migration.mapping import Mapping
from migration.mapping_file import parse_mapping
from migration.planning import draft_plan
from migration.sources.lines import reading_session
from migration.sources.opening import open_source
from migration.sources.source import Refused, Source
from migration.work import Work
from services.embedded.ports import free_ports
from spark_jobs.settings import SourceAccount
from spark_jobs.storage.delta import Lake
from tests.mariadb import MariaDbServer, mariadb_server
from tests.postgres import PostgresServer, postgres_server

READER, PASSWORD = "reader", "canary-Pa55word"  # the canary of tests that look for it
KINDS = ("postgresql", "mysql")
# What an account of PostgreSQL may begin with; nothing that is read may follow from it.
ODD_SETTINGS = (
    *("TimeZone = 'Asia/Shanghai'", "DateStyle = 'German'", "IntervalStyle = 'sql_standard'"),
    *("bytea_output = 'escape'", "standard_conforming_strings = off", "extra_float_digits = 0"),
)
# One product a row; the rest of the table is not known to this old system.
_PRODUCT = {"product_id": {"from": "id"}} | {
    name: {"value": None}
    for name in ("product_line", "category", "product_type", "brand", "manufacturer_id", "package_size")
}


@dataclass(frozen=True, slots=True)
class OldDatabase:
    """A server with one empty schema `old`, and the account that the settings name."""

    kind: str
    server: PostgresServer | MariaDbServer
    account: SourceAccount

    @property
    def address(self) -> str:
        """What a job names."""
        return self.account.address

    @property
    def source(self) -> Source:
        """The source of this address."""
        return open_source(self.address, accounts=(self.account,))

    def execute(self, *statements: str) -> None:
        """Run statements as the owner."""
        engine = create_engine(self.server.url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement, execution_options={"no_parameters": True})

    def query(self, sql: str) -> Sequence[Any]:
        """Ask as the owner."""
        engine = create_engine(self.server.url, poolclass=NullPool)
        with engine.connect() as connection:
            return connection.exec_driver_sql(sql, execution_options={"no_parameters": True}).all()

    def empty(self) -> None:
        """Forget all tables."""
        if self.kind == "postgresql":
            self.execute("DROP SCHEMA IF EXISTS old CASCADE", "CREATE SCHEMA old")
        else:
            self.execute("DROP SCHEMA IF EXISTS old", "CREATE SCHEMA old CHARACTER SET utf8mb4")
            self.execute("SET GLOBAL sql_mode = DEFAULT", "SET GLOBAL time_zone = '+00:00'")

    def table(self, columns: str, *, name: str = "items") -> None:
        """Make a table `old.NAME`; ids of the index are the database's own."""
        self.execute(f"CREATE TABLE old.{name} ({columns})")

    def insert(self, values: Sequence[str], *, name: str = "items") -> None:
        """Rows in SQL, such as `1, 'a'`."""
        for begin in range(0, len(values), 1_000):
            rows = ", ".join(f"({row})" for row in values[begin : begin + 1_000])
            self.execute(f"INSERT INTO old.{name} VALUES {rows}")

    def keyed(self, kind: str, keys: Sequence[str]) -> None:
        """The table `items`: ids from 0 on, and keys of this type with an index."""
        self.table(f"id bigint PRIMARY KEY, k {kind}")
        self.execute("CREATE INDEX by_key ON old.items (k)")
        self.insert([f"{number}, {key}" for number, key in enumerate(keys)])


@contextmanager
def old_database(kind: str) -> Iterator[OldDatabase]:
    """A server of this kind; it is gone afterwards."""
    (port,) = free_ports(1)
    folder = Path(tempfile.mkdtemp(prefix="databank-account-"))
    (folder / "password").write_text(f"{PASSWORD}\n")
    running = postgres_server(port) if kind == "postgresql" else mariadb_server(port)
    database = "postgres" if kind == "postgresql" else "test"
    try:
        with running as server:
            address = f"{kind}://127.0.0.1:{port}/{database}"
            old = OldDatabase(kind, server, SourceAccount(address, READER, folder / "password", connections=2))
            if kind == "postgresql":
                old.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'", f"GRANT pg_read_all_data TO {READER}")
                old.execute(*(f"ALTER ROLE {READER} SET {setting}" for setting in ODD_SETTINGS))
            else:
                old.execute(f"CREATE USER {READER}@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
                old.execute(f"GRANT ALL ON *.* TO {READER}@'127.0.0.1'")
            yield old
    finally:
        shutil.rmtree(folder)


def product_mapping(**changes: object) -> dict[str, Any]:
    """A mapping file of `old.items` (column id, and k, by which it is split) into core.products."""
    given: dict[str, Any] = {
        "target": "core.products",
        "format": "table",
        "table": "old.items",
        "split_by": "k",
        "chunk_rows": 10,
        "zone": "UTC",
        "accepted_bad_share": 1,
        "ignore": ["k"],
        "columns": _PRODUCT,
    }
    return {key: value for key, value in (given | changes).items() if value is not None}


def parsed(**changes: object) -> Mapping:
    """That mapping, checked."""
    return parse_mapping(product_mapping(**changes), where="m")


def job_in(folder: Path, address: str, mapping: dict[str, Any]) -> Job:
    """A job of one mapping, as the command line reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mapping.yaml").write_text(yaml.safe_dump(mapping))
    given = {"job": "tables", "workspace": "grocery", "source": address, "mappings": ["mapping.yaml"]}
    (folder / "job.yaml").write_text(yaml.safe_dump(given))
    return load_job(folder / "job.yaml")


LINES = (
    "id bigint PRIMARY KEY, order_no bigint, product varchar(20), member varchar(40), sold_at timestamp(6) NULL, "
    "pieces int, paid decimal(10,2)"
)


def order_line(number: int, **changes: str) -> str:
    """One good row of the table `lines` in SQL; `changes` replace values by column."""
    values = {"id": str(number), "order_no": str(number), "product": "'p1'", "member": f"'M{1000 + number % 7}'"}
    values |= {"sold_at": f"'2017-01-{1 + number % 28:02d} 12:00:00.{number:06d}'", "pieces": "1", "paid": "1.50"}
    return ", ".join((values | changes).values())


def lines_mapping(**changes: object) -> dict[str, Any]:
    """A mapping file of the table `lines` into core.order_lines."""
    nothing = {name: {"from": "paid"} for name in ("retail_disc", "coupon_disc", "coupon_match_disc")}
    columns: dict[str, Any] = {
        "order_id": {"from": "order_no"},
        "product_id": {"from": "product"},
        "store_id": {"value": "web"},
        "subject_type": {"value": "member_no"},
        "subject_scope": {"value": "grocery"},
        "subject_token": {"token": "member", "type": "member_no", "scope": "grocery"},
        "ordered_at": {"from": "sold_at", "format": "yyyy-MM-dd HH:mm:ss[.SSSSSS]"},
        "ordered_date": {"day_of": "ordered_at"},
        "quantity": {"from": "pieces", "min": 0},
        "sales_value": {"from": "paid", "min": 0},
        **nothing,
    }
    given = {"target": "core.order_lines", "format": "table", "table": "old.lines", "split_by": "id", "chunk_rows": 10}
    return given | {"zone": "UTC", "accepted_bad_share": 0.5, "ignore": ["id"], "columns": columns} | changes


def chunks_of(old: OldDatabase, **changes: object) -> list[Chunk]:
    """Look at the table `items` for the first time: its chunks, where nothing is refused."""
    found = list(old.source.look([parsed(**changes)], lambda _mapping, _name: iter(())))
    refused = [one for one in found if isinstance(one, Refused)]
    assert refused == [], refused
    return [one for one in found if isinstance(one, Chunk)]


def records_of(old: OldDatabase, spark: SparkSession, chunks: list[Chunk], **changes: object) -> DataFrame:
    """What these chunks hold, as a copy reads it."""
    return old.source.records(reading_session(spark), parsed(**changes), chunks)


@contextmanager
def planned_tables(old: OldDatabase, job: Job, lake: Lake, key_file: Path) -> Iterator[Work]:
    """Plan the tables as they are now and hold the lease; the ledger lies beside the lake."""
    path = Path(lake.root).parent / "ledger.sqlite"
    with open_ledger(f"sqlite:///{path}") as opened, held(opened, job.name) as lease:
        draft = draft_plan(job, opened, old.source)
        assert not draft.refused
        drafts.adopt(opened, draft.plan)
        yield Work(lake, opened, lease, job, draft.plan, key_file, "test-run", source_accounts=(old.account,))
