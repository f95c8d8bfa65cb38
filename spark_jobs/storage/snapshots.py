"""The door to what identity has published: which snapshot, known since when, and the map as it holds it.

A reader takes one `Snapshot` and reads all tables by its moment: a run that publishes meanwhile, or died on its way to
it, changes nothing of what it reads.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import IDENTITY_MAP, IDENTITY_SNAPSHOTS
from spark_jobs.errors import TerminalError
from spark_jobs.people.system_time import known_at, moment
from spark_jobs.storage.delta import Lake, exists, read


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One published snapshot: its id, the moment since when it is known (microseconds since 1970), its certificate."""

    snapshot_id: str
    at_us: int
    certificate: str


def newest_snapshot(lake: Lake) -> Snapshot | None:
    """The snapshot that was published last; None before the first."""
    return _newest(read(lake, IDENTITY_SNAPSHOTS)) if exists(lake, IDENTITY_SNAPSHOTS) else None


def published_snapshot(lake: Lake) -> Snapshot:
    """The snapshot that was published last; TerminalError where none was yet."""
    newest = newest_snapshot(lake)
    if newest is None:
        raise TerminalError(
            f"{lake.root}: no identity snapshot is published; run `python -m spark_jobs identity` first"
        )
    return newest


def snapshot_known_at(lake: Lake, at_us: int) -> Snapshot:
    """The snapshot that readers went by at a moment (microseconds since 1970); TerminalError where none was yet."""
    published_snapshot(lake)
    known = _newest(read(lake, IDENTITY_SNAPSHOTS).where(F.col("published_at") <= moment(at_us)))
    if known is None:
        raise TerminalError(f"{lake.root}: no identity snapshot was published by then; ask for a later moment")
    return known


def snapshot_named(lake: Lake, snapshot_id: str) -> Snapshot:
    """The snapshot of an id, of one that was published again the last time; TerminalError where there is none."""
    published_snapshot(lake)
    known = _newest(read(lake, IDENTITY_SNAPSHOTS).where(F.col("snapshot_id") == snapshot_id))
    if known is None:
        raise TerminalError(f"{lake.root}: no identity snapshot {snapshot_id} was published; is this the right lake?")
    return known


def _newest(snapshots: DataFrame) -> Snapshot | None:
    newest = snapshots.orderBy(F.desc("published_at"), "snapshot_id").limit(1)
    rows = newest.select("snapshot_id", F.unix_micros("published_at").alias("at_us"), "certificate").collect()
    return Snapshot(rows[0]["snapshot_id"], int(rows[0]["at_us"]), rows[0]["certificate"]) if rows else None


def published_map(lake: Lake, snapshot: Snapshot, *, version: int | None = None) -> DataFrame:
    """`core.identity_map` as a snapshot holds it, of the newest version or a given one that is no older than it."""
    return known_at(read(lake, IDENTITY_MAP, version=version), snapshot.at_us)
