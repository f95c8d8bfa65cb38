"""Quarantine of a chunk: its refused records as they were met last, replaced in one commit and never added to.

Whether the quarantine holds something of a chunk already is what its own transaction says. Delta forgets transactions
after 60 days, so a copy begins by telling it again which chunks that are to be copied have records there (`remember`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F

from migration.chunks import Chunk
from migration.commits import QUARANTINE
from migration.fencing import check_fence
from migration.ledger import IN_TARGET, PAGE
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake, Transaction

STAGE = "migration"
TRANSACTION = 1  # the same for every attempt: the chunk's id alone decides whether its rows are there
PREFIX = "migration/"


def kept(lake: Lake, table: Table, *, version: int | None = None) -> DataFrame:
    """What quarantine holds of records that were meant for a table."""
    rows = delta.read(lake, QUARANTINE_ROWS, version=version)
    return rows.where((F.col("stage") == STAGE) & (F.col("target") == table.name))


def origins_in(rows: DataFrame) -> Iterator[list[str]]:
    """The ids of the chunks that the rows came from, in order and PAGE at a time."""
    found = rows.select("origin").distinct().orderBy("origin").toLocalIterator()
    names = (row["origin"].removeprefix(PREFIX) for row in found)
    while page := list(islice(names, PAGE)):
        yield page


def remember(work: Work) -> None:
    """Tell Delta again which chunks that are not copied have refused records, of attempts that it has forgotten."""
    for mapping in work.mappings:
        for page in origins_in(kept(work.lake, mapping.table)):
            named = work.ledger.named(work.plan.plan_id, page)
            if chunks := [chunk for chunk in named if chunk.state not in IN_TARGET]:
                until_committed(partial(_remember, work, chunks), "telling Delta of refused records")


def _remember(work: Work, chunks: list[Chunk]) -> None:
    transaction = Append(work.lake, QUARANTINE_ROWS)
    check_fence(work, transaction)
    forgotten = [Transaction(chunk.origin, TRANSACTION) for chunk in chunks if not is_known(transaction, chunk)]
    if forgotten:
        transaction.commit(*forgotten, facts={"kind": QUARANTINE, "run": work.run_id})


def is_known(transaction: Append, chunk: Chunk) -> bool:
    """True where the transaction's table has had a commit of this chunk."""
    return transaction.newest(chunk.origin) >= TRANSACTION


def keep(work: Work, chunk: Chunk, refused: DataFrame | None, *, wanted: int, is_repair: bool) -> None:
    """Make quarantine hold exactly the refused records of a chunk, as many as were counted: they were read once more.

    In: `rows.refused_rows`, None where nothing was refused. A repair looks for older ones whatever Delta remembers.
    """
    with Append(work.lake, QUARANTINE_ROWS) as transaction:
        check_fence(work, transaction)
        has_older = is_known(transaction, chunk) or is_repair
        if refused is None and not has_older:
            return
        if refused is not None:
            _write(work, transaction, chunk, refused, wanted=wanted)
        if has_older:
            take_out_older(work, transaction, chunk)
        facts = {"kind": QUARANTINE, "run": work.run_id, "chunk": chunk.chunk_id, "records": wanted}
        transaction.commit(Transaction(chunk.origin, TRANSACTION), facts=facts)


def take_out_older(work: Work, transaction: Append, chunk: Chunk) -> None:
    """Take out all rows of a chunk that stand in the transaction's table, but those that it has written itself."""
    transaction.begin_again()
    check_fence(work, transaction)
    transaction.take_out_all("origin", chunk.origin)


def _write(work: Work, transaction: Append, chunk: Chunk, refused: DataFrame, *, wanted: int) -> None:
    moment = F.lit(datetime.now(UTC)).cast("timestamp")
    rows = refused.select(
        F.lit(work.job.workspace).alias("workspace_id"),
        F.lit(STAGE).alias("stage"),
        F.lit(chunk.target).alias("target"),
        F.lit(chunk.source_object).alias("source_object"),
        "block_start",
        F.col("line").alias("position"),
        "reason",
        "sealed",
        "kid",
        F.lit(chunk.rule_version).alias("rule_version"),
        "origin",
        moment.alias("quarantined_at"),
        F.to_date(moment).alias("quarantined_date"),
    )
    written = Observation()
    transaction.write(rows.observe(written, F.count(F.lit(1)).alias("records")))
    if (found := written.get["records"]) != wanted:
        raise TerminalError(
            f"chunk {chunk.chunk_id}: {wanted} records were refused, and {found} when they were read again; nothing "
            f"was written; look whether {chunk.source_object} changed, then start again"
        )
