"""Does the stream of live events keep up, and what does it refuse? Looked at every five minutes, without Spark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable

from _runs import DEFAULTS, within
from _spark import plain_job

PATIENCE = {"execution_timeout": timedelta(minutes=2), "retry_delay": timedelta(seconds=15)}

with DAG(
    dag_id="databank_ingest_watch",
    description="How far the stream is behind, and what share of messages it refuses",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("*/5 * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,  # until a stream runs
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    deadline=within(timedelta(minutes=10)),
    default_args={**DEFAULTS, **PATIENCE},
    tags=["databank"],
):
    plain_job("look", ["services", "ingest_watch"], facts=["behind", "read", "refused", "duplicate"])
