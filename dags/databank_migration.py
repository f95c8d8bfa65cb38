"""History moves in: plan, copy, verify, and the readers' switch, by `migration run`; started by hand, resumable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

# What becomes part of a command line is a path or an address and nothing else.
PLACE = r"^[A-Za-z0-9_./:-]+$"

with DAG(
    dag_id="databank_migration",
    description="Move one job's history into the lake and switch its readers",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    params={
        "job": Param("/etc/databank/databank/migration/job.yaml", type="string", pattern=PLACE, title="Job file"),
        "source": Param("hdfs://", type="string", pattern=PLACE, title="Folder of the old system's files"),
    },
    tags=["databank"],
):
    (
        BashOperator(
            task_id="show_old_files",
            bash_command="/usr/local/bin/databank trino_catalog.apply --legacy '{{ params.source }}'",
        )
        >> BashOperator(
            task_id="move_in",
            bash_command="/usr/local/bin/databank migration run --cutover --json"
            " --job '{{ params.job }}' --source '{{ params.source }}'",
        )
        >> BashOperator(task_id="show_new_tables", bash_command="/usr/local/bin/databank trino_catalog.apply")
    )
