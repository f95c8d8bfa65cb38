"""History moves in: plan, copy, verify, switch the readers; by the verbs of `migration`, started by hand, resumable."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, Param

# What becomes part of a command line is a path or an address and nothing else.
PLACE = r"^[A-Za-z0-9_./:-]+$"
JOB = "--job '{{ params.job }}' --source '{{ params.source }}'"

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
    # What each task does can be repeated; a task that is killed goes on where it was.
    shown, moved, known, compared, switched = (
        BashOperator(task_id=name, bash_command=f"/usr/local/bin/databank {command}")
        for name, command in {
            "show_old_files": "trino_catalog.apply --legacy '{{ params.source }}'",
            # The audit first, at each attempt: after a crash the next append would make a loss permanent.
            "move_in": f"spark_jobs delta-audit --json && /usr/local/bin/databank migration run --json {JOB}",
            "show_new_tables": "trino_catalog.apply",
            "compare_answers": f"migration shadow --json {JOB}",
            "switch_readers": f"migration cutover --json {JOB}",
        }.items()
    )
    shown >> moved >> known >> compared >> switched
