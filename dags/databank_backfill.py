"""Days that are computed again: the tags of a workspace as of the midnight after each day, one after the other.

Identity and visits are of the newest run; tags go by what stands in the lake now. Days before that of the state in
force are answered beside it and change nothing that is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param, chain, task
from airflow.sdk.exceptions import AirflowFailException

from _runs import DEFAULTS
from _spark import SPARK_POOL, DatabankOperator, plain_job

MOST_DAYS = 92


@task  # type: ignore[untyped-decorator] # Airflow is not in this environment
def one_run_a_day(params: Mapping[str, Any] | None = None) -> list[list[str]]:
    """One command: the runs of all days in one session, in their order; a retry computes those that are missing."""
    given = params or {}
    since, until = (date.fromisoformat(given[name]) for name in ("since", "until"))
    days = (until - since).days
    if not 0 < days <= MOST_DAYS:
        raise AirflowFailException(
            f"since is {since} and until is {until}, which are {days} days; wanted: 1 to {MOST_DAYS}, until not "
            "included. Start the DAG again with other days; a longer range takes several runs"
        )
    command = ["spark_jobs"]
    for number in range(days):
        next_day = since + timedelta(days=number + 1)
        run = ["tags", "--json", f"--workspace={given['workspace']}", f"--day={next_day.isoformat()}"]
        command += [*(["+"] if number else []), *run]
    return [command]


with DAG(
    dag_id="databank_backfill",
    description="Compute the tags of past days again, by date range",
    doc_md=__doc__,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params={
        "workspace": Param("grocery", type="string", pattern=r"^[a-z][a-z0-9_]*$"),
        "since": Param("2026-01-01", type="string", format="date", title="First day, on the workspace's calendar"),
        "until": Param("2026-01-02", type="string", format="date", title="Day after the last one"),
    },
    tags=["databank"],
):
    chain(
        DatabankOperator(
            task_id="tags", commands=one_run_a_day(), pool=SPARK_POOL, execution_timeout=timedelta(days=3)
        ),
        plain_job("show", ["trino_catalog.apply"]),
    )
