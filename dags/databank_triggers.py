"""Carts and unpaid orders that wait: every quarter of an hour decide whom to tell, then tell them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param

from _runs import DEFAULTS, within
from _spark import spark_job

OF_WHOM = [
    "--json",
    "--workspace={{ params.workspace }}",
    "{% if params.folder %}--triggers={{ params.folder }}{% endif %}",
]
# In one session, and in this order: what ended meanwhile is cancelled before it could leave.
COMMAND = ["spark_jobs", "triggers", *OF_WHOM, "+", "triggers-send", *OF_WHOM]

with DAG(
    dag_id="databank_triggers",
    description="Decide and send the triggers of one workspace",
    doc_md=__doc__,
    schedule=CronDataIntervalTimetable("*/15 * * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,  # until somebody may be told
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    deadline=within(timedelta(hours=1)),
    default_args=DEFAULTS,
    params={
        "workspace": Param("grocery", type="string", pattern=r"^[a-z][a-z0-9_]*$"),
        "folder": Param(
            "",
            type="string",
            pattern=r"^(/[A-Za-z0-9_./-]+)?$",
            title="Folder of definitions; the shipped ones if empty",
        ),
    },
    tags=["databank"],
):
    # What was decided and sent stays so: a task that is repeated goes on from there.
    spark_job("decide_and_send", COMMAND)
