"""The rows that are copied: seven columns as an old system's events have them, their tokens made already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyspark.sql import SparkSession

from migration import drafts
from migration.jobfile import Job
from migration.lease import held
from migration.ledger import open_ledger
from migration.mapping import Cast, Dialect, Mapping
from migration.planning import draft_plan
from migration.sources.opening import open_source
from migration.work import Work
from spark_jobs.contracts.core import ORIGIN, WORKSPACE
from spark_jobs.contracts.schema import Column, Table
from spark_jobs.storage.delta import Lake

PERSONS = 500_000
WORKSPACE_NAME = "bench"
COLUMNS = (
    Column("event_id", "string", "24 hexadecimal digits", nullable=False),
    Column("person_token", "binary", "16 bytes", personal="pseudonym"),
    Column("name", "string", "event", nullable=False),
    Column("occurred_at", "timestamp", "UTC", nullable=False),
    Column("product_id", "string", "product"),
    Column("quantity", "int", "pieces"),
    Column("amount", "decimal(18,2)", "money"),
)
TABLE = Table(
    name="bench.events",
    grain="one event",
    key=("workspace_id", "event_id"),
    columns=(WORKSPACE, *COLUMNS, *ORIGIN),
    statistics_on=("name", "occurred_at", "amount"),
)
_EXPRESSIONS = (
    "lower(hex(unhex(substring(sha2(cast(id AS string), 256), 1, 24)))) AS event_id",
    f"unhex(substring(sha2(cast(id % {PERSONS} AS string), 256), 1, 32)) AS person_token",
    "element_at(array('view', 'cart', 'purchase', 'search', 'share', 'click'), 1 + pmod(hash(id), 6)) AS name",
    "timestamp_micros(1500000000000000 + id * 1000000 + pmod(hash(id, 1), 1000000)) AS occurred_at",
    "cast(pmod(hash(id, 2), 30000) AS string) AS product_id",
    "pmod(hash(id, 3), 5) AS quantity",
    "cast(pmod(hash(id, 4), 100000) / 100 AS decimal(18, 2)) AS amount",
)


def write_rows(spark: SparkSession, folder: Path, rows: int, files: int) -> None:
    """The rows as zstd Parquet in so many files; what is there is kept."""
    if not (folder / "_SUCCESS").exists():
        generated = spark.range(0, rows, 1, files).selectExpr(*_EXPRESSIONS)
        generated.write.mode("overwrite").option("compression", "zstd").parquet(str(folder))


def job_over(source: str) -> Job:
    """A job that copies the rows as they are."""
    rules = tuple(Cast(column.name, column.name) for column in COLUMNS)
    mapping = Mapping(TABLE, "*.parquet", "parquet", Dialect(), "UTC", 0.0, rules, (), "bench")
    return Job("bench", WORKSPACE_NAME, source, (mapping,), None, (), None, "bench")


@contextmanager
def planned(spark: SparkSession, source: Path, folder: Path, key_file: Path) -> Iterator[Work]:
    """A plan over all files, ready to be copied into an empty lake in `folder`."""
    job = job_over(str(source))
    with open_ledger(f"sqlite:///{folder}/ledger.sqlite") as ledger, held(ledger, job.name) as lease:
        draft = draft_plan(job, ledger, open_source(job.source))
        if draft.refused:
            raise RuntimeError(f"the plan refuses {draft.refused[0]}")
        drafts.adopt(ledger, draft.plan)
        yield Work(Lake(spark, f"{folder}/lake"), ledger, lease, job, draft.plan, key_file, "bench")
