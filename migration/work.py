"""What every verb works with: the lake, the ledger, the job, its plan, and who holds the lease."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from migration.jobfile import Job
from migration.lease import Lease
from migration.ledger import Ledger, Plan
from migration.mapping import Mapping
from migration.sources.opening import open_source
from migration.sources.source import Source
from spark_jobs.settings import SourceAccount
from spark_jobs.storage.delta import Lake


@dataclass(frozen=True, slots=True)
class Work:
    """One operator's work on one plan; `run_id` names the run in commits and in `ops.runs`."""

    lake: Lake
    ledger: Ledger
    lease: Lease
    job: Job
    plan: Plan
    key_file: Path
    run_id: str
    webhdfs_url: str | None = None
    source_accounts: tuple[SourceAccount, ...] = ()

    @property
    def source(self) -> Source:
        """What was planned."""
        return open_source(self.plan.source, self.webhdfs_url, self.source_accounts)

    @property
    def mappings(self) -> tuple[Mapping, ...]:
        """The job's mappings."""
        return self.job.mappings
