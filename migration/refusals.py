"""How many records are refused, by target and reason: counted in the quarantine, kept in the ledger for who asks."""

from __future__ import annotations

from pyspark.sql import functions as F
from sqlalchemy import delete, insert

from migration.copying import STAGE
from migration.ledger import now
from migration.ledger_schema import REFUSALS
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.storage import delta

# A reason is a rule of a mapping and holds nothing of a record, so there are few.
MOST_REASONS = 1_000


def count_refusals(work: Work) -> None:
    """Count anew what is in quarantine for the job's tables and workspace, and put it into the ledger."""
    rows = []
    quarantined = sum(row["rows_quarantined"] for row in work.ledger.totals(work.plan.plan_id))
    if quarantined and delta.exists(work.lake, QUARANTINE_ROWS):
        targets = [mapping.table.name for mapping in work.mappings]
        mine = (F.col("stage") == STAGE) & (F.col("workspace_id") == work.job.workspace) & F.col("target").isin(targets)
        refused = delta.read(work.lake, QUARANTINE_ROWS).where(mine).groupBy("target", "reason")
        counted = refused.agg(F.count(F.lit(1)).alias("records")).orderBy(F.desc("records"), "target", "reason")
        rows = [row.asDict() for row in counted.limit(MOST_REASONS).collect()]
    plan_id, moment = work.plan.plan_id, now()
    with work.ledger.engine.begin() as connection:
        connection.execute(delete(REFUSALS).where(REFUSALS.c.plan_id == plan_id))
        if rows:
            connection.execute(insert(REFUSALS), [{"plan_id": plan_id, "counted_at": moment, **row} for row in rows])
