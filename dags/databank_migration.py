"""History moves in: plan, copy, verify, switch the readers; by the verbs of `migration`, started by hand, resumable."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param, chain

from _spark import DEFAULTS, plain_job, spark_job

# What becomes part of a command line is a path or an address and nothing else.
PLACE = r"^[A-Za-z0-9_./:-]+$"
JOB = ["--json", "--job={{ params.job }}", "--source={{ params.source }}"]

with DAG(
    dag_id="databank_migration",
    description="Move one job's history into the lake and switch its readers",
    doc_md=__doc__,
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=False,
    max_active_runs=1,
    default_args=DEFAULTS,
    params={
        "job": Param("/etc/databank/databank/migration/job.yaml", type="string", pattern=PLACE, title="Job file"),
        "source": Param("hdfs://", type="string", pattern=PLACE, title="Folder of the old system's files"),
    },
    tags=["databank"],
):
    # What each task does can be repeated; a task that is killed goes on where it was.
    chain(
        plain_job("show_old_files", ["trino_catalog.apply", "--legacy={{ params.source }}"]),
        spark_job(
            "move_in",
            # The audit first, at each attempt: after a crash the next append would make a loss permanent.
            ["spark_jobs", "delta-audit", "--json"],
            ["migration", "run", *JOB],
            facts=["plan"],
            execution_timeout=None,  # a copy may take weeks; it says how far it is, and an alert says where it stands
            retries=20,
        ),
        plain_job("show_new_tables", ["trino_catalog.apply"]),
        spark_job("compare_answers", ["migration", "shadow", *JOB]),
        spark_job("switch_readers", ["migration", "cutover", *JOB]),
    )
