"""A database that is asked questions by one reader, who cannot write: planning's door to it; Spark has its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from migration.sources.addresses import Address
from migration.sources.dialect import Dialect
from migration.sources.mysql import MySql
from migration.sources.postgresql import PostgreSql
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.settings import SourceAccount

_DIALECTS: dict[str, Dialect] = {"postgresql": PostgreSql(), "mysql": MySql()}


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One read-only transaction: every question is answered of the same moment."""

    connection: Connection

    def rows(self, sql: str) -> Sequence[Sequence[Any]]:
        """All rows of a small answer."""
        # A percent sign of a condition is one.
        return self.connection.exec_driver_sql(sql, execution_options={"no_parameters": True}).all()


@dataclass(frozen=True, slots=True)
class Database:
    """A database and the account that reads it."""

    address: Address
    account: SourceAccount

    @property
    def dialect(self) -> Dialect:
        """Its kind."""
        return _DIALECTS[self.address.scheme]

    @contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """A snapshot of now; RetryableError where the database does not answer, TerminalError where it refuses."""
        engine = self._engine()
        try:
            connection = engine.connect()
        except SQLAlchemyError as error:
            raise RetryableError(
                f"source {self.address} does not answer: {_said(error)}; start it, or mend its [source.NAME] in the "
                "settings"
            ) from error
        try:
            with connection:
                for statement in self.dialect.begin:
                    connection.exec_driver_sql(statement)
                yield Snapshot(connection)
        except DBAPIError as error:
            if error.connection_invalidated:
                raise RetryableError(f"source {self.address} broke off: {_said(error)}; start it again") from error
            raise TerminalError(
                f"source {self.address} refuses a question: {_said(error)}; mend the mapping's `where`, or what its "
                "account may read"
            ) from error

    def _engine(self) -> Engine:
        url = URL.create(
            self.dialect.driver,
            username=self.account.user,
            password=self.account.password(),
            host=self.address.host,
            port=self.address.port,
            database=self.address.database,
        )
        arguments = self.dialect.connect_arguments(self.account)
        return create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=arguments)


def _said(error: SQLAlchemyError) -> str:
    """The driver's first line; the statement, which may hold keys, is left out."""
    cause = getattr(error, "orig", error)
    return (str(cause).strip().splitlines() or [type(cause).__name__])[0]
