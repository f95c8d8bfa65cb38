"""What is done every day: is the lake sound, who is who, visits, tags, audiences, views, topics, old files out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, chain

from _runs import DEFAULTS, PUBLISHED, within
from _spark import plain_job, spark_job

COMPUTE = ["spark_jobs", "identity", "--json", "+", "sessions", "--json", "+", "tags", "--json"]
# Of the day's own run: the last midnight before its interval ended, however late it runs and on whichever clocks.
BASE = (
    "{% if params.base %}--base={{ params.base }}"
    "{% elif dag_run.data_interval_end %}--as-of={{ dag_run.data_interval_end.isoformat() }}{% endif %}"
)

AUDIENCES = [
    *("+", "audience-build", "--json", "--workspace={{ params.workspace }}"),
    "{% if params.audiences %}--audiences={{ params.audiences }}{% endif %}",
]

# In one session: starting Spark costs more than what a day brings.
DELIVER = [
    *("spark_jobs", "tags-deliver", "--json", "--workspace={{ params.workspace }}"),
    *("+", "audience-deliver", "--json", "--workspace={{ params.workspace }}"),
]

with DAG(
    dag_id="databank_daily",
    description="Audit the lake; identity, visits, tags and audiences of one workspace; show them in Trino",
    doc_md=__doc__,
    # A bare cron string would start and end its interval at the moment of the run.
    schedule=CronDataIntervalTimetable("0 3 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    is_paused_upon_creation=True,  # until there is something to compute
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=20),
    deadline=within(timedelta(hours=6)),
    default_args=DEFAULTS,
    params={
        "workspace": Param("grocery", type="string", pattern=r"^[a-z][a-z0-9_]*$"),
        "base": Param(
            "",
            type="string",
            pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8})?$",
            title="As of, in the zone of the workspace",
        ),
        "audiences": Param(
            "",
            type="string",
            pattern=r"^(/[A-Za-z0-9_./-]+)?$",
            title="Folder of definitions of audiences; empty: the shipped ones",
        ),
    },
    tags=["databank"],
):
    chain(
        spark_job("audit", ["spark_jobs", "delta-audit", "--json"], facts=["tables", "files"]),
        spark_job("take_in_what_arrived", ["spark_jobs", "ingest", "--drain", "--json"]),
        spark_job(
            "compute",
            [*COMPUTE, "--workspace={{ params.workspace }}", BASE, *AUDIENCES],
            facts=["snapshot_id"],
        ),
        plain_job("show", ["trino_catalog.apply"], outlets=[PUBLISHED]),
        spark_job("deliver", DELIVER),
        # Behind what may still have to read the versions before its own.
        spark_job("vacuum", ["spark_jobs", "vacuum", "--json"]),
        plain_job("tidy", ["services", "event_logs"]),
    )
