"""Does an event come through? One of its own goes into the topic, and SQL must show it; every quarter of an hour.

It carries no identifier, so no person, tag or visit counts it; its name is `databank_canary`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable

from _runs import DEFAULTS, within
from _spark import plain_job

# All attempts end before the next run: 4 of 2 minutes, and pauses of 15, 30 and 60 seconds.
PATIENCE = {"execution_timeout": timedelta(minutes=3), "retry_delay": timedelta(seconds=15)}

with DAG(
    dag_id="databank_canary",
    description="Send one event and wait until SQL shows it",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("*/15 * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,  # until a stream runs
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=14),
    deadline=within(timedelta(minutes=14)),
    default_args={**DEFAULTS, **PATIENCE},
    tags=["databank"],
):
    plain_job("event_comes_through", ["services", "canary", "--most-s=120"], facts=["event_id", "seconds"])
