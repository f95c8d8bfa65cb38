"""History moves in: plan, copy, verify, compare; when a person approves, its readers are switched.

It goes by the verbs of `migration`, is started by hand, and goes on where it was.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import DAG, Param, chain

from _runs import DEFAULTS
from _spark import plain_job, spark_job

# What becomes part of a command line is a path or an address and nothing else.
PLACE = r"^[A-Za-z0-9_./:-]+$"
JOB = ["--json", "--job={{ params.job }}", "--source={{ params.source }}"]

MOVED = "ti.xcom_pull(task_ids='move_in')"
WHAT_STANDS = f"""\
Plan {{{{ {MOVED}['plan'] }}}} is copied and verified: {{{{ {MOVED}['read'] }}}} records were read,
{{{{ {MOVED}['good'] }}}} stand in the new tables, {{{{ {MOVED}['quarantined'] }}}} were refused and kept,
{{{{ {MOVED}['duplicate'] }}}} were there already. Old and new side gave the same answers (`compare_answers`).

**Approve** and the readers' views show the new side; `migration rollback` brings the old one back.
**Reject** and nothing changes; start the DAG again to be asked again.
"""

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
            facts=["plan", "read", "good", "quarantined", "duplicate"],
            execution_timeout=None,  # a copy may take weeks; it says how far it is, and an alert says where it stands
            retries=20,
        ),
        plain_job("show_new_tables", ["trino_catalog.apply"]),
        spark_job("compare_answers", ["migration", "shadow", *JOB]),
        ApprovalOperator(
            task_id="approve",
            subject="Switch the readers of {{ params.job }} to the new side?",
            body=WHAT_STANDS,
            execution_timeout=None,  # a person has time: the task waits without a slot
        ),
        spark_job("switch_readers", ["migration", "cutover", *JOB]),
    )
