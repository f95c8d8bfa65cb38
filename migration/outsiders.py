"""Migrated rows in a target that are none of the plan's: of another plan that the ledger has, or nobody's."""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from sqlalchemy import select

from migration.ledger import PAGE, Ledger
from migration.ledger_schema import CHUNKS, PLANS
from migration.summing import CHUNK, chunk_of
from migration.work import Work
from spark_jobs.contracts.schema import Table

SHOWN = 10


def unknown_rows(work: Work, table: Table, target: DataFrame, outside: DataFrame | None) -> list[str]:
    """Whose rows stand in the target though no plan has such a chunk, in words.

    In: the target's rows; `chunk_of` the chunks that stand there and are none of the plan's, None without any.
    """
    if outside is None:
        return []
    names = [(f"migration/{chunk_id}",) for chunk_id in known_chunks(work.ledger, table.name)]
    known = work.lake.spark.createDataFrame(names, "origin string").select(chunk_of())
    numbers = [row[CHUNK] for row in outside.join(known, on=CHUNK, how="left_anti").limit(SHOWN + 1).collect()]
    if not numbers:
        return []
    rows = target.where(chunk_of().isin(numbers[:SHOWN])).groupBy("origin").agg(F.count(F.lit(1)).alias("rows"))
    lines = [f"  {row['origin']}: {row['rows']:,} rows, and no plan has it" for row in rows.orderBy("origin").collect()]
    more = ["  and further ones"] if len(numbers) > SHOWN else []
    wanted = "  plan the files that they came from, where they are there; otherwise take these rows out, then verify"
    return [*lines, *more, wanted]


def known_chunks(ledger: Ledger, target: str) -> Iterator[str]:
    """Every chunk of a target that some plan has, by id; those of drafts are nobody's yet."""
    query = select(CHUNKS.c.chunk_id).where(CHUNKS.c.target == target, CHUNKS.c.plan_id.in_(select(PLANS.c.plan_id)))
    after = ""
    while True:
        page = query.where(CHUNKS.c.chunk_id > after).distinct().order_by(CHUNKS.c.chunk_id).limit(PAGE)
        with ledger.engine.connect() as connection:
            names = connection.execute(page).scalars().all()
        yield from names
        if len(names) < PAGE:
            return
        after = names[-1]
