"""Derive: history's order lines become orders, and each order one purchase event; the same keys as the live stream's.

Migrated rows are inserted where no migrated row with the key stands yet, even beside a live one; settling then takes
the live one out. So the outcome does not depend on who came first, and repeating it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from migration.fencing import check_fence
from migration.settling import settle
from migration.work import Work
from spark_jobs.contracts.core import EVENTS, ORDER_LINES, ORDERS
from spark_jobs.contracts.schema import Table
from spark_jobs.ingest.purchases import orders_from_lines, purchase_events
from spark_jobs.storage import delta
from spark_jobs.storage.conflicts import until_committed

_MIGRATED = "migration/"


@dataclass(frozen=True, slots=True)
class Derived:
    """Orders found in history, rows inserted this time, and live rows that history replaced."""

    orders: int = 0
    inserted: int = 0
    replaced: int = 0


def derive(work: Work) -> Derived:
    """Fill `core.orders` and `core.events` from migrated order lines; safe to repeat, beside a live stream as well."""
    touchpoint = work.job.derive
    if touchpoint is None:
        return Derived()
    lines = delta.read(work.lake, ORDER_LINES).where(F.startswith("origin", F.lit(_MIGRATED)))
    lines = lines.where(F.col("workspace_id") == work.job.workspace)
    orders = orders_from_lines(lines).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        span = orders.agg(F.count(F.lit(1)).alias("orders"), F.min("ordered_date"), F.max("ordered_date")).collect()[0]
        if not span["orders"]:
            return Derived()
        events = purchase_events(orders, app=touchpoint.app, terminal=touchpoint.terminal)
        days = (str(span[1]), str(span[2]))
        inserted = _insert(work, orders, ORDERS, days) + _insert(work, events, EVENTS, days)
    finally:
        orders.unpersist()
    check = partial(check_fence, work)
    replaced = sum(settle(work.lake, table, run_id=work.run_id, check=check).live for table in (ORDERS, EVENTS))
    return Derived(span["orders"], inserted, replaced)


def _insert(work: Work, rows: DataFrame, table: Table, days: tuple[str, str]) -> int:
    # A migrated row that could match lies within history's own days: the key's time comes from the same lines.
    day = f"old.`{table.partition_by[0]}` BETWEEN DATE '{days[0]}' AND DATE '{days[1]}'"
    pruned = f"{day} AND startswith(old.origin, '{_MIGRATED}')"
    return until_committed(
        lambda: delta.merge_missing(rows, work.lake, table, pruned_by=pruned), f"deriving {table.name}"
    )
