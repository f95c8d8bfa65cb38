"""What is done every day: is the lake sound, who is who, visits, tags, tables and views, old files out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable, Param

with DAG(
    dag_id="databank_daily",
    description="Audit the lake; identity, visits and tags of one workspace; show them in Trino",
    # A bare cron string would start and end its interval at the moment of the run.
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,  # until there is something to compute
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={
        "workspace": Param("grocery", type="string", pattern=r"^[a-z][a-z0-9_]*$"),
        "base": Param(
            "",
            type="string",
            pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8})?$",
            title="As of, in the zone of the workspace",
        ),
    },
    tags=["databank"],
):
    (
        BashOperator(task_id="audit", bash_command="/usr/local/bin/databank spark_jobs delta-audit --json")
        >> BashOperator(
            task_id="take_in_what_arrived", bash_command="/usr/local/bin/databank spark_jobs ingest --drain --json"
        )
        >> BashOperator(
            task_id="compute",
            bash_command="/usr/local/bin/databank spark_jobs identity --json + sessions --json"
            " + tags --json --workspace '{{ params.workspace }}'"
            "{% if params.base %} --base '{{ params.base }}'{% endif %}",
        )
        >> BashOperator(task_id="show", bash_command="/usr/local/bin/databank trino_catalog.apply")
        # Behind what may still have to read the versions before its own.
        >> BashOperator(task_id="vacuum", bash_command="/usr/local/bin/databank spark_jobs vacuum --json")
        >> BashOperator(task_id="tidy", bash_command="/usr/local/bin/databank services event_logs")
    )
