"""Empty tables of tests: Spark makes each of them once for a run; what a test asks for later is a copy.

Making one takes Spark a second or more, and most tests want ten of them: it was a tenth of the whole tier's time.
"""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spark_jobs.contracts.schema import Table
from spark_jobs.storage.delta import Lake


@dataclass(frozen=True, slots=True)
class EmptyTables:
    """Where they are kept, and who makes one (`storage.delta`)."""

    folder: Path
    make: Callable[[Lake, Table], None]

    def create(self, lake: Lake, table: Table) -> None:
        """The table at its place in the lake, with an id of its own."""
        target = Path(lake.path_of(table))
        if not target.is_absolute() or target.exists():
            self.make(lake, table)
            return
        kept = Lake(lake.spark, str(self.folder / hashlib.sha256(repr(table).encode()).hexdigest()))
        source = Path(kept.path_of(table))
        if not source.exists():
            self.make(kept, table)
        _copy(source / "_delta_log", target / "_delta_log")


def _copy(source: Path, target: Path) -> None:
    # Hidden files are Hadoop's sums of the others, which will not fit.
    shutil.copytree(source, target, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns(".*"))
    commit = target / f"{0:020}.json"
    known = next(line for line in commit.read_text().splitlines() if '"metaData"' in line)
    id_before, id_now = known.partition('"id":"')[2].partition('"')[0], str(uuid.uuid4())
    for file in target.glob("*.*"):
        file.write_text(file.read_text().replace(id_before, id_now))
