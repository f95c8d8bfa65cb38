"""The DAG that `cluster verify` runs: does a task start, run and succeed?"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, task


@task  # type: ignore[untyped-decorator] # Airflow is not in this environment
def succeed() -> None:
    """Do nothing: that a task starts, runs and is heard of is what is looked at."""


with DAG(
    dag_id="databank_smoke",
    doc_md=__doc__,
    description="Run by `cluster verify`; does nothing but succeed",
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    tags=["databank"],
):
    succeed()
