"""Verify: the source read and mapped once more, the committed rows read back, compared without tolerance.

Both sides are reduced to fingerprints per chunk in one pass over each, which finds keys that stand twice in the target
as well. Where rows were settled away, the source side finds repeated natural keys by itself (over all chunks of the
table, by a 128-bit hash), so that a settlement that took out a wrong row is seen too.
What differs is narrowed to lines (`differences.py`). A verification that cannot run is a failure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from collections.abc import Mapping as Keys
from dataclasses import dataclass
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row, Window
from pyspark.sql import functions as F

from migration.chunks import Chunk, ChunkState, Counts
from migration.deriving import check_derived
from migration.differences import differing_lines
from migration.faults import files_blamed
from migration.history import VERIFIED
from migration.mapping import Mapping
from migration.quarantining import kept
from migration.reading import source_rows
from migration.rehashing import rehashed
from migration.rows import digest_of, is_good
from migration.settling import key_hashes, repeated_keys
from migration.summing import CHUNK, Standing, chunk_of, standing, summed
from migration.work import Work
from spark_jobs.contracts.core import ORIGIN, WORKSPACE
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import row_digest
from spark_jobs.storage.fingerprints import PARTS, Fingerprint, of_row

log = logging.getLogger(__name__)

SHOWN = 10


@dataclass(frozen=True, slots=True)
class Found:
    """What one chunk was found to be on both sides."""

    source: Counts
    target: Fingerprint
    quarantined: int


def verify_table(work: Work, mapping: Mapping) -> dict[str, Any]:
    """Compare one target with its source, chunk by chunk, and store each chunk as verified or failed.

    Returns what an auditor wants to see; TerminalError names what differs. Where no row was ever taken out of a chunk,
    each side is read once and only sums leave a task. Otherwise what had to go is found anew, from the source alone.
    """
    table = mapping.table
    _check_ready(work, table)
    version = delta.current_version(work.lake, table)
    target = delta.read(work.lake, table, version=version)
    is_settled = any(
        row["rows_duplicate"] for row in work.ledger.totals(work.plan.plan_id) if row["target"] == table.name
    )
    source = source_digests(work, mapping)
    if is_settled:
        source = source.persist(StorageLevel.MEMORY_AND_DISK)
    try:
        good = source.where("is_good")
        repeated = _repeated(good) if is_settled else good.limit(0)
        digests = {"read": source, "repeated": repeated, "sealed": _sealed(work, table)}
        with files_blamed(work.lake), rehashed(work, table) as others, standing(target, table) as held:
            problems = _compare(work, table, _sides(work, table, digests, held.sums), others)
            twice = _twice(target, table, held)
        kept = _without(good, repeated)
        shown = list(problems)[:SHOWN]
        lines = differing_lines(kept, target_digests(target, table), shown) if problems else []
    finally:
        source.unpersist()
    if problems or twice:
        raise TerminalError(_report(table, problems, lines, twice))
    check_derived(work, table)
    facts = {"table": table.name, "version": version, "columns": column_facts(target, table)}
    work.ledger.record_step(work.plan.plan_id, VERIFIED, facts)
    return facts


def _check_ready(work: Work, table: Table) -> None:
    """Every chunk is copied and its file is the planned one, or there is nothing to compare."""
    not_copied = [ChunkState.PLANNED, ChunkState.COPYING]
    for chunk in work.ledger.chunks(work.plan.plan_id, target=table.name):
        if chunk.state in not_copied or chunk.counts is None:
            raise TerminalError(f"chunk {chunk.chunk_id} is {chunk.state}, wanted copied; run `migration copy` first")
        if chunk.contract_hash != table.contract_hash:
            raise TerminalError(
                f"chunk {chunk.chunk_id} was planned for contract {chunk.contract_hash} of {table.name}, which is now "
                f"{table.contract_hash}; use the release that copied it, or plan and copy again into a new table"
            )
        work.source.check_unchanged(chunk)


def source_digests(work: Work, mapping: Mapping) -> DataFrame:
    """What the source says: origin, origin_position, digest (null where refused), the key's hashes, is_good."""
    rows = source_rows(work, mapping).withColumn("digest", digest_of(mapping)).withColumn("is_good", is_good())
    return rows.select("origin", "origin_position", "digest", *key_hashes(mapping.table), "is_good")


def target_digests(target: DataFrame, table: Table) -> DataFrame:
    """What stands in the target: origin, origin_position, digest, the key's hashes."""
    rows = target.withColumn("digest", row_digest(table.types))
    return rows.select("origin", "origin_position", "digest", *key_hashes(table))


def _repeated(rows: DataFrame) -> DataFrame:
    """The rows that must not stand in the target: of each natural key all but the lowest (origin, position).

    All rows are grouped by half of the hash alone, which sums up in hash tables; few are sorted.
    """
    twice = rows.groupBy("key_a").agg(F.count(F.lit(1)).alias("n")).where(F.col("n") > 1)
    # Unique on the hash, so this cannot add rows.
    suspects = rows.join(twice, on="key_a", how="left_semi")
    first = Window.partitionBy("key_a", "key_b").orderBy("origin", "origin_position", "digest")
    return suspects.withColumn("place", F.row_number().over(first)).where(F.col("place") > 1).drop("place")


def _sealed(work: Work, table: Table) -> DataFrame:
    """A row per refused record that is kept."""
    return kept(work.lake, table).select("origin", F.lit(None).cast("bigint").alias("digest"))


def _without(rows: DataFrame, repeated: DataFrame) -> DataFrame:
    # A line's position is unique in its chunk: the join takes out exactly the repeated lines.
    return rows.join(repeated, on=["origin", "origin_position"], how="left_anti")


def _twice(target: DataFrame, table: Table, held: Standing) -> int:
    """How many keys stand more than once in the target, SHOWN at most."""
    if not held.twice.limit(1).count():
        return 0
    return repeated_keys(target, table, among=held.twice).limit(SHOWN).count()


def _sides(work: Work, table: Table, digests: Keys[str, DataFrame], held: DataFrame) -> DataFrame:
    """One row per chunk of the plan: both sides' numbers, null where a side has nothing of it.

    In: rows of origin and digest by side, the digest of a refused record is null; the sums of what is held. Each side
    is reduced to a row a chunk by itself, so that a task evaluates the sums of its own side alone.
    """
    chunks = work.ledger.chunks(work.plan.plan_id, target=table.name)
    sides = work.lake.spark.createDataFrame([(chunk.origin,) for chunk in chunks], "origin string")
    for side, rows in digests.items():
        # Both have every chunk once, so this join cannot add rows.
        sides = sides.join(summed(rows, f"{side}_"), on="origin", how="left")
    target = held.select(CHUNK, *(F.col(name).alias(f"target_{name}") for name in PARTS))
    return sides.withColumn(CHUNK, chunk_of()).join(target, on=CHUNK, how="left")


def _compare(work: Work, table: Table, sides: DataFrame, others: Callable[[], Keys[str, str]]) -> dict[str, str]:
    """Move every chunk to verified or failed; origin to problem for those that failed.

    In: both sides; which chunks' files are not the planned ones, byte for byte.
    """
    problems: dict[str, str] = {}
    for row in sides.toLocalIterator():
        chunk = work.ledger.chunk(work.plan.plan_id, row["origin"].removeprefix("migration/"))
        content = [others()[chunk.chunk_id]] if chunk.chunk_id in others() else []
        if problem := "; ".join([*content, *_problems(chunk, _found(row))]):
            work.ledger.move(chunk, ChunkState.FAILED, counts=chunk.counts, message=f"verification: {problem}")
            problems[chunk.origin] = problem
        elif chunk.state is not ChunkState.VERIFIED:
            verified = chunk
            if chunk.state is ChunkState.FAILED:  # it was red once and has been repaired since
                verified = work.ledger.move(chunk, ChunkState.COPIED, counts=chunk.counts)
            work.ledger.move(verified, ChunkState.VERIFIED, counts=chunk.counts)
    log.info("verified %s: %d chunks differ", table.name, len(problems))
    return problems


def _found(row: Row) -> Found:
    numbers = row.asDict()
    good, repeated, target = (of_row(numbers, f"{side}_") for side in ("read", "repeated", "target"))
    # Fingerprints are a group: what must stand in the target is what was read without what was repeated.
    refused, sealed = numbers["read_refused"] or 0, numbers["sealed_refused"] or 0
    return Found(Counts(good.rows + refused, refused, repeated.rows, good - repeated), target, sealed)


def _problems(chunk: Chunk, found: Found) -> Iterator[str]:
    source = found.source
    if source.read != chunk.records:
        yield f"planned {chunk.records} records, the source has {source.read} now"
    if found.target != source.good:
        yield f"the target holds {_text(found.target)}, the source says {_text(source.good)}"
    if found.quarantined != source.quarantined:
        yield f"quarantine holds {found.quarantined} records, the source has {source.quarantined} bad ones"
    if chunk.counts != source:
        yield f"the ledger holds {chunk.counts}, the source says {source}"


def _text(fingerprint: Fingerprint) -> str:
    return f"{fingerprint.rows} rows ({fingerprint.digest_xor:x}, {fingerprint.digest_sum:x})"


def _report(table: Table, problems: dict[str, str], lines: list[str], twice: int) -> str:
    shown = [f"  {origin}: {problem}" for origin, problem in list(problems.items())[:SHOWN]]
    more = [f"  and {len(problems) - SHOWN} further chunks"] if len(problems) > SHOWN else []
    keys = [f"  natural keys stand more than once, {twice} or more; run `migration settle`"] if twice else []
    wanted = "replace a chunk's rows with `migration copy --repair CHUNK`, then `settle` and `verify`"
    return "\n".join([f"{table.name} does not agree with its source:", *shown, *more, *lines, *keys, wanted])


def column_facts(target: DataFrame, table: Table) -> dict[str, dict[str, Any]]:
    """Nulls, minimum and maximum of each column of the migrated rows; no extremes of personal or nested columns.

    Workspace and origin are left out: they are ours, not the source's.
    """
    own = {column.name for column in (WORKSPACE, *ORIGIN)}
    columns = [column for column in table.columns if column.name not in own]
    plain = [c.name for c in columns if c.personal == "none" and not c.type.startswith(("array", "binary"))]
    filled = [F.count(column.name).alias(f"filled {column.name}") for column in columns]
    extremes = [f(name).cast("string").alias(f"{f.__name__} {name}") for name in plain for f in (F.min, F.max)]
    migrated = target.where(F.startswith("origin", F.lit("migration/")))
    row = migrated.agg(F.count(F.lit(1)).alias("rows"), *filled, *extremes).collect()[0].asDict()
    facts: dict[str, dict[str, Any]] = {}
    for column in columns:
        found = {kind: row[key] for kind in ("min", "max") if (key := f"{kind} {column.name}") in row}
        facts[column.name] = {"nulls": row["rows"] - row[f"filled {column.name}"], **found}
    return facts
