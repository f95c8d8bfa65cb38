"""What is done every week, between two audits: persons erased, old rows expired, small files put together, deleted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, chain

from _runs import DEFAULTS, within
from _spark import spark_job

AUDIT = ["spark_jobs", "delta-audit", "--json"]

with DAG(
    dag_id="databank_weekly",
    description="Upkeep of the lake's files",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("0 12 * * 0", timezone="UTC"),  # beside no daily run
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,  # until there is something to keep up
    max_active_runs=1,
    dagrun_timeout=timedelta(days=2),
    deadline=within(timedelta(days=1)),
    default_args=DEFAULTS,
    tags=["databank"],
):
    chain(
        spark_job("audit_before", AUDIT),
        spark_job("erase", ["spark_jobs", "erase", "--run", "--json"], facts=["requests", "waiting", "rows_removed"]),
        spark_job("expire", ["spark_jobs", "expire", "--json"], facts=["tables", "rows"]),
        spark_job("compact", ["spark_jobs", "compact", "--json"], facts=["removed", "added"]),
        spark_job("vacuum", ["spark_jobs", "vacuum", "--json"], facts=["files", "bytes"]),
        spark_job("audit_after", AUDIT, facts=["tables", "files"]),
    )
