"""One operator a job: a lease in the ledger says who runs it, and expires, so that a dead owner blocks nobody."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from migration.holding import lost
from migration.ledger import Ledger
from migration.ledger_schema import LEASES
from spark_jobs.errors import RetryableError

LEASE_S = 60
RENEWAL_S = 15
NOBODY = "nobody/0/0"


@dataclass(slots=True)
class Lease:
    """A held lease; `is_lost` turns true where it could not be renewed in time and another process may have it.

    `epoch` is higher than that of every holder before who did not give it back.
    """

    job: str
    owner: str
    ledger: Ledger
    epoch: int = 0
    is_lost: bool = False

    def check(self) -> None:
        """Raise RetryableError where the lease was lost: nothing may be committed any more."""
        if self.is_lost:
            raise lost(self.job)

    def rise_to(self, epoch: int) -> None:
        """Have an epoch at which no table of the job is yet, where this one is not the highest."""
        if self.epoch >= epoch:
            return
        with self.ledger.engine.begin() as connection:
            risen = connection.execute(update(LEASES).where(*self.mine).values(epoch=epoch + 1)).rowcount
        self.is_lost = self.is_lost or risen != 1
        self.check()
        self.epoch = epoch + 1

    @property
    def mine(self) -> tuple[ColumnElement[bool], ...]:
        """What the lease's row says while this process holds it."""
        return LEASES.c.job == self.job, LEASES.c.owner == self.owner

    @property
    def held(self) -> tuple[ColumnElement[bool], ...]:
        """The same, and that nobody had it in between."""
        return *self.mine, LEASES.c.epoch == self.epoch


@contextmanager
def held(ledger: Ledger, job: str) -> Iterator[Lease]:
    """Hold the job's lease for the block; RetryableError says who has it. The ledger changes for its holder alone."""
    lease = Lease(job, _this_process(), ledger)
    _acquire(ledger, lease)
    ledger.holder = lease
    ended = threading.Event()
    renewal = threading.Thread(target=_renew_until, args=(ended, ledger, lease), daemon=True, name="lease")
    renewal.start()
    try:
        yield lease
    finally:
        ended.set()
        renewal.join()
        ledger.holder = None
        with ledger.engine.begin() as connection:
            # The row stays, so that its epoch does.
            connection.execute(update(LEASES).where(*lease.held).values(owner=NOBODY, expires_at=""))


def _this_process() -> str:
    return f"{socket.gethostname()}/{os.getpid()}/{_started(os.getpid())}"


def _started(pid: int) -> str:
    """The start time of a process in clock ticks: a number that is used again belongs to another process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return "gone"


def _is_dead(owner: str) -> bool:
    """True where the owner ran on this host and is gone; of another host nothing is known before the lease expires."""
    host, pid, started = owner.rsplit("/", 2)
    return host == socket.gethostname() and _started(int(pid)) != started


def _acquire(ledger: Ledger, lease: Lease) -> None:
    since, until = _text(_now()), _text(_now() + timedelta(seconds=LEASE_S))
    values = {"owner": lease.owner, "since": since, "expires_at": until}
    try:
        with ledger.engine.begin() as connection:
            connection.execute(insert(LEASES).values(job=lease.job, epoch=1, **values))
        lease.epoch = 1
    except IntegrityError:
        with ledger.engine.connect() as connection:
            row = connection.execute(select(LEASES).where(LEASES.c.job == lease.job)).mappings().first()
        if row is None:
            raise RetryableError(f"the lease on job {lease.job} changed hands this moment; try again") from None
        _take_over(ledger, lease, dict(row), values)


def _take_over(ledger: Ledger, lease: Lease, found: dict[str, Any], values: dict[str, str]) -> None:
    is_free = found["expires_at"] < values["since"] or _is_dead(found["owner"])
    same = (LEASES.c.job == lease.job, LEASES.c.owner == found["owner"], LEASES.c.expires_at == found["expires_at"])
    taken, epoch = 0, found["epoch"] + (found["owner"] != NOBODY)
    if is_free:
        with ledger.engine.begin() as connection:
            taken = connection.execute(update(LEASES).where(*same).values(epoch=epoch, **values)).rowcount
    if not taken:
        host, pid, _ = found["owner"].rsplit("/", 2)
        raise RetryableError(
            f"job {lease.job} is run by process {pid} on {host} since {found['since']}; "
            f"wait for it, or end it there: its lease runs out at {found['expires_at']}"
        )
    lease.epoch = epoch


def _renew_until(ended: threading.Event, ledger: Ledger, lease: Lease) -> None:
    valid_until = _now() + timedelta(seconds=LEASE_S)
    while not ended.wait(RENEWAL_S):
        until = _now() + timedelta(seconds=LEASE_S)
        try:
            with ledger.engine.begin() as connection:
                renewed = connection.execute(update(LEASES).where(*lease.mine).values(expires_at=_text(until))).rowcount
        except SQLAlchemyError:
            # The database may be restarting: the lease holds until it runs out.
            lease.is_lost = lease.is_lost or _now() > valid_until
            continue
        lease.is_lost = lease.is_lost or renewed != 1
        valid_until = until


def _now() -> datetime:
    return datetime.now(UTC)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
