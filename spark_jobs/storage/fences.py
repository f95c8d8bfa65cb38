"""Several tables that change as one, by one writer at a time, though anybody may start and die.

Delta makes a commit on one table whole, not commits on several. So rows of such tables say since when they are known,
and the last commit, on the pointer's table, names the moment that readers go by. Who writes raises the fence first: a
number above all before it goes into the log of each table, the pointer's first. Who finds another number than their own
was overtaken by a later writer, who took them for dead, and writes nothing any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame

from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import CONFLICTS, until_committed
from spark_jobs.storage.delta import Lake, Transaction


@dataclass(frozen=True, slots=True)
class Fence:
    """The right of one run to change the tables of `name`, while no later run has raised a greater number."""

    lake: Lake
    name: str
    number: int
    run_id: str

    @property
    def facts(self) -> dict[str, str | int]:
        """What stands in each of the run's commits."""
        return {"fence": self.number, "run_id": self.run_id}

    def overtaken(self, table: Table) -> RetryableError:
        """What the run says that may not write any more."""
        return RetryableError(
            f"{table.name}: another run of {self.name} began to publish after this one (number {self.number}), so this "
            "one stopped and nothing of it is published; let the other end, then start this one again"
        )


def raise_fence(lake: Lake, name: str, tables: Sequence[Table], *, run_id: str) -> Fence:
    """Overtake every run that writes these tables; RetryableError where another one does so at the same moment.

    In: tables that exist, the pointer's first: once it is fenced, no earlier run can publish any more.
    """
    fence = Fence(lake, name, 1 + max(_newest(lake, table, _raised(name)) for table in tables), run_id)
    for table in tables:
        with Append(lake, table) as one:
            if one.newest(_raised(name)) >= fence.number:
                raise fence.overtaken(table)
            try:
                one.commit(Transaction(_raised(name), fence.number), facts=fence.facts)
            except CONFLICTS as error:
                raise fence.overtaken(table) from error
    return fence


def change(fence: Fence, table: Table, added: DataFrame, *, at_us: int, gone: DataFrame | None = None) -> int:
    """Put rows in, and take out those with the contract's key of one of `gone`, in one commit; its version.

    `at_us` is the moment since when the rows are known, microseconds. In: rows that are the same whenever they are
    read. RetryableError where the run was overtaken.
    """

    def attempt() -> int:
        with Append(fence.lake, table) as one:
            check(fence, table, one)
            if gone is not None:
                one.take_out(gone, on=table.key)
            one.write(added)
            return one.commit(Transaction(_changed(fence.name), at_us), facts={**fence.facts, "at_us": at_us})

    return until_committed(attempt, f"changing {table.name}")


def check(fence: Fence, table: Table, one: Append) -> None:
    """Refuse where another run raised the fence since; told to a transaction, it holds until its commit."""
    if one.newest(_raised(fence.name)) != fence.number:
        raise fence.overtaken(table)


def changed_at_us(lake: Lake, table: Table, name: str) -> int:
    """The moment of the last `change`, microseconds; -1 where none is on record."""
    return _newest(lake, table, _changed(name))


def _newest(lake: Lake, table: Table, app_id: str) -> int:
    with Append(lake, table) as one:
        return one.newest(app_id)


def _raised(name: str) -> str:
    return f"{name}/fence"


def _changed(name: str) -> str:
    return f"{name}/changed"
