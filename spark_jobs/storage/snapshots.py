"""Which identity snapshot the tables hold."""

from __future__ import annotations

from pyspark.sql import Row
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import IDENTITY_SNAPSHOTS
from spark_jobs.errors import TerminalError
from spark_jobs.storage.delta import Lake, exists, read


def newest_snapshot(lake: Lake) -> Row | None:
    """The row of `core.identity_snapshots` that was published last; None before the first."""
    if not exists(lake, IDENTITY_SNAPSHOTS):
        return None
    newest = read(lake, IDENTITY_SNAPSHOTS).orderBy(F.desc("published_at"), "snapshot_id").limit(1).collect()
    return newest[0] if newest else None


def published_snapshot_id(lake: Lake) -> str:
    """The id of the newest snapshot; TerminalError where none was published yet."""
    newest = newest_snapshot(lake)
    if newest is None:
        raise TerminalError(
            f"{lake.root}: no identity snapshot is published; run `python -m spark_jobs identity` first"
        )
    return str(newest["snapshot_id"])
