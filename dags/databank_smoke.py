"""The DAG that `cluster verify` runs: does a task start, run and succeed?"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG(
    dag_id="databank_smoke",
    description="Run by `cluster verify`; does nothing but succeed",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    tags=["databank"],
):
    BashOperator(task_id="succeed", bash_command="true")
