"""The fence: who lost the job's lease without noticing cannot commit, because Delta itself refuses it.

A lease that was taken from its holder has a higher epoch than before. Its new holder begins by committing the epoch to
every table that the job writes, as a transaction of the application `migration/lease/JOB`. Each commit of a migration
reads that application: one that began before a take-over meets a transaction that came between and is refused by Delta,
one that began after it finds an epoch that is not its own. Between a look at the ledger and a commit something may
happen; here nothing can. The ledger keeps out the same process by itself (`Ledger.changing`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from migration.commits import FENCE
from migration.lease import Lease
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Transaction


def fence(work: Work) -> None:
    """Put this operator's epoch into every table that the job writes and that is there.

    The ledger may be older than the tables, restored from a backup: then the epoch rises above what they hold.
    """
    app_id = _application(work.lease)
    there = [table for table in _tables(work) if delta.exists(work.lake, table)]
    found = [(table, Append(work.lake, table).newest(app_id)) for table in there]
    work.lease.rise_to(max((epoch for _, epoch in found), default=0))
    for table, epoch in found:
        if epoch != work.lease.epoch:
            until_committed(partial(_raise, work, table), f"fencing {table.name}")


def fence_table(work: Work, table: Table) -> None:
    """The same for one table that may be newer than the last look; RetryableError where another operator has it."""
    if Append(work.lake, table).newest(_application(work.lease)) != work.lease.epoch:
        until_committed(partial(_raise, work, table), f"fencing {table.name}")


def _tables(work: Work) -> Iterable[Table]:
    targets = (mapping.table for mapping in work.mappings)
    return {table.name: table for table in (*targets, *work.job.derived, QUARANTINE_ROWS)}.values()


def _raise(work: Work, table: Table) -> None:
    transaction, app_id, epoch = Append(work.lake, table), _application(work.lease), work.lease.epoch
    found = transaction.newest(app_id)
    if found >= epoch:
        raise _taken_over(work.lease, found)
    facts = {"kind": FENCE, "run": work.run_id, "job": work.lease.job, "epoch": epoch}
    transaction.commit(Transaction(app_id, epoch), facts=facts)


def check_fence(work: Work, transaction: Append) -> None:
    """RetryableError where the table is fenced for another operator; the transaction fails if that happens later."""
    found = transaction.newest(_application(work.lease))
    if found > work.lease.epoch:  # an epoch that Delta has forgotten (60 days) keeps nobody out
        raise _taken_over(work.lease, found)


def _taken_over(lease: Lease, found: int) -> RetryableError:
    return RetryableError(
        f"job {lease.job} was taken over: its targets are at epoch {found}, this process holds epoch {lease.epoch}; "
        "nothing was written; see `migration status`"
    )


def _application(lease: Lease) -> str:
    return f"migration/lease/{lease.job}"
