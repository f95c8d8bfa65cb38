"""The door to what erasure has left behind: tombstones in force, and the largest numbers that were ever given."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

from pyspark.sql import functions as F

from spark_jobs.contracts.erasure import ERASURE_MARKS, ERASURE_REQUESTS, TOMBSTONES
from spark_jobs.errors import TerminalError
from spark_jobs.protection.tombstones import NO_STONES, Span, Stones
from spark_jobs.storage.delta import Lake, current_version, exists, read

# Each identifier of each erased person is one; all of them are held by the driver, and by every task that takes in.
MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Marks:
    """Numbers up to which none may be given again; 0 where nobody was ever erased."""

    identifier_no: int = 0
    person_no: int = 0
    generation: int = 0


def standing(lake: Lake) -> Stones:
    """The tombstones in force now; TerminalError where there are more than MOST.

    Read anew only where one of the two tables has changed: a stream asks at each batch.
    """
    # Tombstones are written before the request that makes them count, so both are there or nobody is erased.
    if not exists(lake, ERASURE_REQUESTS):
        return NO_STONES
    return _of_versions(lake, current_version(lake, ERASURE_REQUESTS), current_version(lake, TOMBSTONES))


@lru_cache(maxsize=4)
def _of_versions(lake: Lake, requests: int, tombstones: int) -> Stones:
    counted = read(lake, ERASURE_REQUESTS, version=requests).select("request_id").distinct()
    # A semi join adds no rows.
    mine = read(lake, TOMBSTONES, version=tombstones).join(counted, on="request_id", how="left_semi")
    since, until = F.unix_micros("since").alias("since_us"), F.max(F.unix_micros("until")).alias("until_us")
    rows = mine.groupBy("kid", "tombstone", since).agg(until).limit(MOST + 1).collect()
    if len(rows) > MOST:
        raise TerminalError(
            f"{lake.root}: more than {MOST:,} tombstones of erased persons are in force, and every task that takes in "
            "holds all of them; nobody may be let back in silence: raise MOST, and the memory of executors with it"
        )
    found: dict[str, dict[bytes, tuple[Span, ...]]] = defaultdict(dict)
    for row in rows:
        of_key, stone = found[row["kid"]], bytes(row["tombstone"])
        of_key[stone] = (*of_key.get(stone, ()), (int(row["since_us"]), int(row["until_us"])))
    return Stones(dict(found))


def marks(lake: Lake) -> Marks:
    """The largest numbers that were ever given, as erasures noted them before rows with them went."""
    if not exists(lake, ERASURE_MARKS):
        return Marks()
    largest = [F.coalesce(F.max(name), F.lit(0)).alias(name) for name in ("identifier_no", "person_no", "generation")]
    row = read(lake, ERASURE_MARKS).agg(*largest).collect()[0]
    return Marks(int(row["identifier_no"]), int(row["person_no"]), int(row["generation"]))
