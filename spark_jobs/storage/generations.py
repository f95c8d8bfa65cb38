"""Rows that become visible together: one append to a table of publications says which of them count.

Each writer aims at the number behind the newest; of several at once one takes it, and the others are told.
"""

from __future__ import annotations

import logging

from delta.tables import DeltaTable
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.schema import Table
from spark_jobs.errors import RetryableError
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import CONFLICTS
from spark_jobs.storage.delta import Lake, Transaction, read

log = logging.getLogger(__name__)


def publish(rows: DataFrame, lake: Lake, table: Table, *, within: str, writer: str) -> None:
    """Append rows that publish the number in their column `number`, while the newest of `within` is the one before.

    In:  rows with one `number`; `within`: SQL condition on the rows of the table that have numbers of this series;
         `writer`: the series' name.
    RetryableError where the number is taken; then nothing of this is published.
    """
    wanted = int(rows.select("number").head()["number"])  # type: ignore[index]
    with Append(lake, table) as once:
        once.newest(writer)  # asked, it becomes a promise: a commit that takes a number meanwhile is a conflict
        taken = read(lake, table, version=once.version).where(within).agg(F.max("number").alias("number")).collect()
        newest = int(taken[0]["number"] or 0)
        if newest != wanted - 1:
            raise _too_late(table, wanted, newest)
        once.write(rows)
        try:
            once.commit(Transaction(writer, wanted), facts={"writer": writer, "number": wanted})
        except CONFLICTS as error:
            raise _too_late(table, wanted, newest) from error


def _too_late(table: Table, wanted: int, newest: int) -> RetryableError:
    return RetryableError(
        f"{table.name}: another run published beside this one (number {wanted} is wanted, the newest was {newest}); "
        "nothing of this run counts: start it again"
    )


def forget(lake: Lake, table: Table, condition: str) -> None:
    """Delete rows that no publication needs; who meets another writer leaves them for the next time."""
    try:
        DeltaTable.forPath(lake.spark, lake.path_of(table)).delete(condition)
    except CONFLICTS as error:
        log.info("%s: rows that no publication needs stay for now: %s", table.name, type(error).__name__)
