"""Who may change the ledger: the holder of the job's lease, and nobody who lost it without noticing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import ColumnElement, Connection, Engine, update

from migration.ledger_schema import LEASES
from spark_jobs.errors import RetryableError


class Holder(Protocol):
    """Who holds a lease (`lease.Lease`)."""

    job: str

    @property
    def held(self) -> tuple[ColumnElement[bool], ...]:
        """What the lease's row says as long as it is held."""


@contextmanager
def changing(engine: Engine, holder: Holder | None) -> Iterator[Connection]:
    """A transaction in which the lease cannot change hands; RetryableError where it has. No holder: nobody is asked."""
    with engine.begin() as connection:
        if holder is not None:
            # An update, so that its row is locked until the end.
            is_held = connection.execute(update(LEASES).where(*holder.held).values(job=holder.job)).rowcount == 1
            if not is_held:
                raise lost(holder.job)
        yield connection


def lost(job: str) -> RetryableError:
    """What is said to who lost a lease."""
    return RetryableError(f"the lease on job {job} was lost to another process; see `migration status`")
