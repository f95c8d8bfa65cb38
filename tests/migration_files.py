"""Files of an old system for tests of the migration, and a plan over them that is ready to be worked on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from migration import drafts
from migration.chunks import Chunk
from migration.jobfile import Job, load_job
from migration.lease import held
from migration.ledger import Ledger, Plan, open_ledger
from migration.planning import draft_plan
from migration.sources.opening import open_source
from migration.work import Work
from spark_jobs.storage.delta import Lake

HEADER = (
    *("household_id", "store_id", "basket_id", "product_id", "quantity", "sales_value", "retail_disc"),
    *("coupon_disc", "coupon_match_disc", "week", "transaction_timestamp"),
)
TOUCHPOINT = {"app": "store", "terminal": "pos"}
MAPPINGS = Path(__file__).parents[1] / "services" / "demo" / "mappings"
EXAMPLES = Path(__file__).parents[1] / "migration" / "examples"


def line(basket: int, product: int = 1, **changes: str) -> str:
    """One good line of a transactions file; `changes` replace fields by name."""
    fields = dict.fromkeys(HEADER, "0.00")
    fields |= {"household_id": f"H{1000 + basket % 7}", "store_id": "330", "basket_id": str(basket), "week": "1"}
    fields |= {"product_id": str(product), "quantity": "1", "sales_value": "1.50"}
    fields |= {"transaction_timestamp": f"2017-01-{1 + basket % 28:02d} 12:00:00", **changes}
    return ",".join(fields[name] for name in HEADER)


# Refused by every mapping of orders that says nothing of it.
FUTURE = line(9, transaction_timestamp="2093-01-01 12:00:00")


@dataclass(frozen=True, slots=True)
class OldSystem:
    """A folder with an export and a job file; `put` adds a file of transactions."""

    folder: Path

    @property
    def export(self) -> Path:
        """The folder that a plan reads."""
        return self.folder / "export"

    @property
    def job_file(self) -> Path:
        """The migration job."""
        return self.folder / "job.yaml"

    def put(self, name: str, lines: Sequence[str | bytes], *, header: Sequence[str] = HEADER) -> Path:
        """Write transactions/transactions-NAME.csv."""
        path = self.export / "transactions" / f"transactions-{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        body = [",".join(header).encode(), *(text if isinstance(text, bytes) else text.encode() for text in lines)]
        path.write_bytes(b"".join(content + b"\n" for content in body))
        return path

    def job(self, source: str | None = None) -> Job:
        """The job as the command line reads it."""
        return load_job(self.job_file, source=source)


def old_system(folder: Path, *, bad_share: float = 1.0, **job: object) -> OldSystem:
    """An old system without files yet; its mapping is the demo's, with another accepted share of bad rows.

    It derives nothing: `derive=TOUCHPOINT` does.
    """
    mapping = yaml.safe_load((MAPPINGS / "order_lines.yaml").read_text()) | {"accepted_bad_share": bad_share}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "export").mkdir(exist_ok=True)
    (folder / "order_lines.yaml").write_text(yaml.safe_dump(mapping))
    given: dict[str, object] = {
        "job": "history",
        "workspace": "grocery",
        "source": "export",
        "mappings": ["order_lines.yaml"],
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(given | job))
    return OldSystem(folder)


@contextmanager
def planned(
    old: OldSystem,
    lake: Lake,
    key_file: Path,
    *,
    ledger: Path | None = None,
    ledger_url: str | None = None,
    webhdfs_url: str | None = None,
) -> Iterator[Work]:
    """Plan the files as they are now and hold the lease; the ledger lies beside the lake."""
    path = ledger or Path(lake.root).parent / "ledger.sqlite"
    with open_ledger(ledger_url or f"sqlite:///{path}") as opened, held(opened, old.job().name) as lease:
        draft = draft_plan(old.job(), opened, open_source(old.job().source, webhdfs_url))
        assert not draft.refused
        drafts.adopt(opened, draft.plan)
        yield Work(lake, opened, lease, old.job(), draft.plan, key_file, "test-run", webhdfs_url)


def keep_plan(ledger: Ledger, plan: Plan, chunks: Iterable[Chunk]) -> None:
    """Put a plan of these chunks in force."""
    drafts.begin(ledger, plan.job)
    drafts.add(ledger, plan.job, chunks)
    drafts.adopt(ledger, plan)


def fingerprints(ledger: Ledger, plan_id: str) -> dict[str, object]:
    """What the ledger says of every chunk: counts and fingerprint by id."""
    return {chunk.chunk_id: chunk.counts for chunk in ledger.chunks(plan_id)}
