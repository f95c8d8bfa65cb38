"""How many records are refused, by target and reason: counted in the quarantine, kept in the ledger for who asks."""

from __future__ import annotations

from pyspark.sql import functions as F
from sqlalchemy import delete, insert

from migration.ledger import now
from migration.ledger_schema import REFUSALS
from migration.quarantining import STAGE
from migration.work import Work
from spark_jobs.contracts.operations import QUARANTINE_ROWS
from spark_jobs.storage import delta

# A reason is a rule of a mapping and holds nothing of a record, so there are few; keys that nobody mapped may be many.
MOST_REASONS = 1_000
OTHERS = "other reasons"


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
        if len(rows) == MOST_REASONS:
            shown = counted.limit(MOST_REASONS).select("target", "reason")
            # The shown ones are unique by target and reason, so this cannot add rows.
            left = counted.join(shown, ["target", "reason"], "left_anti").groupBy("target")
            others = left.agg(F.sum("records").alias("records")).collect()
            rows += [{"target": row["target"], "reason": OTHERS, "records": row["records"]} for row in others]
    plan_id, moment = work.plan.plan_id, now()
    with work.ledger.engine.begin() as connection:
        connection.execute(delete(REFUSALS).where(REFUSALS.c.plan_id == plan_id))
        if rows:
            connection.execute(insert(REFUSALS), [{"plan_id": plan_id, "counted_at": moment, **row} for row in rows])
