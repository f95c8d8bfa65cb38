"""Files for receivers, as soon as a new state of tags is published: a folder of definitions, each with its manifest."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param

from _runs import DEFAULTS, PUBLISHED, within
from _spark import spark_job

with DAG(
    dag_id="databank_exports",
    description="Write the files of all exports",
    doc_md=__doc__,
    schedule=[PUBLISHED],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,  # until there are definitions
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=12),
    deadline=within(timedelta(hours=6)),
    default_args=DEFAULTS,
    params={
        "folder": Param(
            "/etc/databank/databank/exports",
            type="string",
            pattern=r"^/[A-Za-z0-9_./-]+$",
            title="Folder of definitions, or one of them",
        ),
    },
    tags=["databank"],
):
    # The same export of the same state is made once: a task that is repeated finds what it made.
    spark_job("export", ["spark_jobs", "exports", "--json", "{{ params.folder }}"])
