"""The seam: where the topic of live events ended before a job's first copy; from there on the live stream brings them.

It is noted once a job, in `migration.seams`, a table of the lake: a ledger that was restored from a backup would note a
later one. The ledger's history takes it over for who asks it alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pyspark.sql import functions as F

from migration.ledger import IN_TARGET
from migration.overview import SEAM_NOTED
from migration.work import Work
from spark_jobs.contracts.operations import MIGRATION_SEAMS, QUARANTINE_ROWS, RAW_EVENTS
from spark_jobs.contracts.topics import EVENTS_TOPIC
from spark_jobs.errors import TerminalError
from spark_jobs.ingest.job import began_at
from spark_jobs.storage import delta
from spark_jobs.storage.appending import Append
from spark_jobs.storage.conflicts import until_committed
from spark_jobs.storage.delta import Lake, Transaction

SEAM = "migration.seam"
Ends = Callable[[], Mapping[int, int]]


@dataclass(frozen=True, slots=True)
class Seam:
    """Offset of the next message by partition of a topic, and how many chunks were copied already: none, as a rule."""

    topic: str
    offsets: Mapping[int, int]
    chunks_before: int
    at: datetime

    def facts(self) -> dict[str, Any]:
        """As the ledger keeps them."""
        offsets = {str(partition): offset for partition, offset in sorted(self.offsets.items())}
        said = {"topic": self.topic, "offsets": offsets, "chunks_before": self.chunks_before}
        return {**said, "noted_at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}"}


def noted(lake: Lake, job: str, *, version: int | None = None) -> Seam | None:
    """The job's seam; None where its copy never began, or began by a release that noted none."""
    if not delta.exists(lake, MIGRATION_SEAMS):
        return None
    mine = (F.col("job") == job) & (F.col("topic") == EVENTS_TOPIC.name)
    rows = delta.read(lake, MIGRATION_SEAMS, version=version).where(mine).collect()
    if not rows:
        return None
    offsets = {int(row["partition"]): int(row["offset"]) for row in rows}
    return Seam(EVENTS_TOPIC.name, offsets, int(rows[0]["chunks_before"]), rows[0]["noted_at"].astimezone(UTC))


def note(work: Work, ends: Ends) -> None:
    """Note where the topic ends, before the job's first row is copied; later calls change nothing.

    A job that switches no readers has no seam. RetryableError where no broker answers: nothing is copied then.
    """
    if work.job.switch is None:
        return
    delta.ensure(work.lake, MIGRATION_SEAMS)
    if noted(work.lake, work.job.name) is None:
        seam = Seam(EVENTS_TOPIC.name, ends(), _chunks_before(work), datetime.now(UTC))
        until_committed(partial(_append, work, seam), f"noting the seam of {work.job.name}")
    heal(work)


def heal(work: Work) -> None:
    """Let the plan's history say what the lake says."""
    seam = noted(work.lake, work.job.name)
    if seam is None:
        return
    last = work.ledger.last_step(work.plan.plan_id, SEAM_NOTED)
    if last is None or last.facts != seam.facts():
        work.ledger.record_step(work.plan.plan_id, SEAM_NOTED, seam.facts())


def check_seam(lake: Lake, job: str) -> Seam | None:
    """The job's seam, where the live stream reached back to it; TerminalError where messages since are in no table.

    A stream reads on from where it began and stops rather than leave something out. So it is enough where that is; one
    that began anew, without its checkpoint, continues another one's rows, and then these are counted.
    """
    seam = noted(lake, job)
    if seam is None:
        return None
    began = began_at(lake)
    gaps = {p: range(offset, began[p]) for p, offset in seam.offsets.items() if began.get(p, 0) > offset}
    missing = {p: len(gap) - _held(lake, seam.topic, p, gap) for p, gap in gaps.items()}
    if lost := {p: count for p, count in missing.items() if count > 0}:
        said = ", ".join(f"{n} of partition {p} from offset {gaps[p].start} to {gaps[p].stop}" for p, n in lost.items())
        raise TerminalError(
            f"live events that came to {seam.topic} after the copy of job {job} began are in no table: {said}, where "
            "the stream began; nothing was switched; send them again, or, where they are lost for good, give the job "
            "another name: it notes its seam anew, and what is copied stays"
        )
    return seam


def _held(lake: Lake, topic: str, partition: int, gap: range) -> int:
    """How many messages of these offsets stand in the tables, good or refused."""
    good = delta.read(lake, RAW_EVENTS).where((F.col("topic") == topic) & (F.col("partition") == partition))
    bad = delta.read(lake, QUARANTINE_ROWS).where(F.col("source_object") == f"{topic}/{partition}")
    offsets = good.select("offset").union(bad.where("stage = 'ingest'").select("position"))
    return offsets.where(F.col("offset").between(gap.start, gap.stop - 1)).distinct().count()


def _chunks_before(work: Work) -> int:
    return sum(row["chunks"] for row in work.ledger.totals(work.plan.plan_id) if row["state"] in IN_TARGET)


def _append(work: Work, seam: Seam) -> None:
    transaction, app_id = Append(work.lake, MIGRATION_SEAMS), f"{SEAM}/{work.job.name}"
    transaction.newest(app_id)  # who notes it meanwhile makes this one fail
    if noted(work.lake, work.job.name, version=transaction.version):
        return
    work.lease.check()
    same = {"job": work.job.name, "topic": seam.topic, "chunks_before": seam.chunks_before}
    same |= {"run_id": work.run_id, "noted_at": seam.at}
    values = [{**same, "partition": partition, "offset": offset} for partition, offset in seam.offsets.items()]
    rows = [tuple(one[name] for name in MIGRATION_SEAMS.column_names) for one in values]
    with transaction:
        transaction.write(work.lake.spark.createDataFrame(rows, MIGRATION_SEAMS.ddl))
        transaction.commit(Transaction(app_id, 1), facts={"kind": SEAM, "run": work.run_id, "job": work.job.name})
