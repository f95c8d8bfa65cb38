"""`python -m bench.migration.many`: what chunks cost that have nearly no rows, and a ledger with very many of them.

Seconds a chunk and peak memory of a copy of 100, 1,000 and 3,000 files; seconds and peak memory of planning, resuming
and `status` with 1,000, 10,000 and 100,000 chunks in the ledger. Each size in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from migration import drafts, marks
from migration.chunks import Chunk, Counts, chunk_id_of
from migration.ledger import PAGE, batched, open_ledger
from migration.marks import Change, Mark
from migration.overview import overview
from migration.planning import draft_plan
from services.setup.resolved import environment, resolved
from spark_jobs.storage.fingerprints import Fingerprint

if TYPE_CHECKING:
    from migration.mapping import Mapping

FILES, LEDGERS = (100, 1_000, 3_000), (1_000, 10_000, 100_000)
ROWS_A_FILE = 1_000


def main(argv: list[str] | None = None) -> int:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(prog="python -m bench.migration.many", description=__doc__)
    parser.add_argument("--only", choices=["files", "ledger"])
    parser.add_argument("--one", nargs=2, metavar=("KIND", "SIZE"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.one:
        kind, size = args.one
        with TemporaryDirectory() as folder:
            facts = {"files": _copied, "ledger": _planned}[kind](int(size), Path(folder))
        sys.stdout.write(json.dumps(facts) + "\n")
        return 0
    for kind, sizes in (("files", FILES), ("ledger", LEDGERS)):
        for size in sizes if args.only in (None, kind) else ():
            command = [sys.executable, "-P", "-m", "bench.migration.many", "--one", kind, str(size)]
            answer = subprocess.run(command, env=environment(resolved()), capture_output=True, text=True)
            if answer.returncode:
                raise RuntimeError(f"{kind} {size} failed: {answer.stderr[-2000:]}")
            sys.stdout.write(f"{kind} {size:7,}: {answer.stdout.splitlines()[-1]}\n")
            sys.stdout.flush()
    return 0


def _copied(files: int, folder: Path) -> dict[str, float]:
    """Copy so many files of ROWS_A_FILE rows."""
    from bench.migration import measures  # noqa: PLC0415 - the ledger alone needs no Spark
    from bench.migration.rows import write_rows  # noqa: PLC0415
    from migration.copying import copy_all  # noqa: PLC0415

    source, target = folder / "rows", folder / "target"
    with measures.spark_in(folder / "made") as spark:
        write_rows(spark, source, files * ROWS_A_FILE, files)
    with measures.work_in(source, target) as (spark, work):
        began = time.monotonic()
        copy_all(work)
        seconds = time.monotonic() - began
        java_mb = measures.java_memory_mb(spark)
    return {"s a chunk": round(seconds / files, 3), "Python MB": _peak_mb(), "Java MB": java_mb}


@dataclass(frozen=True, slots=True)
class _Many:
    """A source of so many objects that nobody has to make."""

    size: int
    address: str = "bench"

    def look(self, mappings: Sequence[Mapping], _known: object) -> Iterator[Chunk]:
        target = mappings[0].table
        for number in range(self.size):
            name = f"part-{number:06d}.parquet"
            yield Chunk(
                *("", chunk_id_of(target.name, name, "0" * 64), target.name, name, 1 << 27, number, "0" * 64),
                *(1_000_000, ("a", "b", "c", "d", "e", "f", "g"), "bench", target.contract_hash),
            )


def _planned(size: int, folder: Path) -> dict[str, float]:
    """Plan, hear of every chunk's commit, resume, ask for the status."""
    from bench.migration.rows import job_over  # noqa: PLC0415

    job, facts = job_over("bench"), {}
    with open_ledger(f"sqlite:///{folder}/ledger.sqlite") as ledger:
        facts["plan s"] = _seconds(lambda: drafts.adopt(ledger, draft_plan(job, ledger, _Many(size)).plan))  # type: ignore[arg-type]
        (plan,) = ledger.plans()
        counts = Counts(1_000_000, 0, 0, Fingerprint(1_000_000, 1, 1))

        def heard() -> None:
            chunks = ledger.chunks(plan.plan_id)
            for version, page in enumerate(batched(chunks, PAGE)):
                changes = [Change(chunk.chunk_id, counts=counts, written_by="bench") for chunk in page]
                marks.replay(ledger, (plan.plan_id, page[0].target), changes, Mark("t", version, "x"), run_id="bench")

        facts["healing s"] = _seconds(heard)
        facts["resume s"] = _seconds(lambda: sum(1 for _ in ledger.chunks(plan.plan_id)))
        facts["status s"] = _seconds(lambda: overview(ledger, plan))
        facts["plan again s"] = _seconds(lambda: drafts.adopt(ledger, draft_plan(job, ledger, _Many(size)).plan))  # type: ignore[arg-type]
    return {**{name: round(value, 2) for name, value in facts.items()}, "Python MB": _peak_mb()}


def _seconds(action: Callable[[], object]) -> float:
    began = time.monotonic()
    action()
    return time.monotonic() - began


def _peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    sys.exit(main())
