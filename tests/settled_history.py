"""A history in three files whose rows repeat each other, and what tests of settling and verifying do with it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from pyspark.sql import functions as F

from migration.chunks import Chunk
from migration.healing import heal
from migration.settling import Settled, settle
from migration.work import Work
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.storage import delta
from spark_jobs.storage.delta import Transaction
from tests.migration_files import FUTURE, OldSystem, line, old_system


def three_files(folder: Path) -> OldSystem:
    """Basket 3 stands in all three files, basket 4 in two, with other sales in each; one line is of the future."""
    system = old_system(folder)
    system.put("a", [line(1), line(2), line(3, sales_value="1.00")])
    system.put("b", [line(3, sales_value="2.00"), line(4, sales_value="3.00"), line(5), FUTURE])
    system.put("c*[x]c", [line(4, sales_value="4.00"), line(3, sales_value="5.00"), line(6)])
    return system


def settled(work: Work) -> Settled:
    """Settle, and let the ledger hear of it."""
    found = settle(work.lake, ORDER_LINES, run_id=work.run_id)
    heal(work, ORDER_LINES)
    return found


def chunks(work: Work) -> list[Chunk]:
    """The plan's chunks."""
    return list(work.ledger.chunks(work.plan.plan_id))


def states(work: Work) -> dict[str, str]:
    """State by the name of the file."""
    return {chunk.source_object[-5]: str(chunk.state) for chunk in chunks(work)}


def sales(work: Work) -> dict[str, str]:
    """Sales by basket, as the target has them."""
    return {row.order_id: str(row.sales_value) for row in delta.read(work.lake, ORDER_LINES).collect()}


def run_sql(work: Work, statement: str) -> None:
    """Run a statement over the target, `{t}`."""
    work.lake.spark.sql(statement.format(t=f"delta.`{work.lake.path_of(ORDER_LINES)}`"))


def send_live(work: Work, *baskets: str, origin: str = "stream/databank.events/0") -> None:
    """The live stream brings these baskets, as copies of migrated lines where there are such."""
    rows = delta.read(work.lake, ORDER_LINES).where(F.col("order_id").isin(list(baskets)))
    live = rows.withColumn("origin", F.lit(origin)).withColumn("sales_value", F.lit("9.00"))
    delta.append(live, work.lake, ORDER_LINES, once=Transaction(origin, 1))


def counted(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str) -> list[str]:
    """A list that grows with each call of a function."""
    calls: list[str] = []
    function = getattr(module, name)

    def counting(*args: object, **kwargs: object) -> object:
        calls.append(name)
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, counting)
    return calls
