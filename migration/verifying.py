"""Verify: the source read and mapped once more, the committed rows read back, compared without tolerance.

Both sides are reduced to fingerprints per chunk in one pass over each, which looks at every column as well, and finds
keys that stand twice (`comparing.py`). Rows that gave way to others are found anew (`replaced.py`), and what differs is
narrowed to lines (`differences.py`). First everything is computed, then all of it is judged, and only then are chunks
marked. A verification that cannot run is a failure.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from collections.abc import Mapping as Keys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from migration import columns
from migration.chunks import Chunk, ChunkState, Counts
from migration.comparing import READ, READ_REFUSED, SEALED_REFUSED, TARGET, Compared, compared
from migration.deriving import check_derived
from migration.differences import differing_lines
from migration.faults import files_blamed
from migration.history import VERIFIED
from migration.ledger import PAGE, batched
from migration.mapping import Mapping
from migration.outsiders import unknown_rows
from migration.reading import source_rows
from migration.rehashing import rehashed
from migration.replaced import REPLACED, Replaced, given_way
from migration.rows import digest_of, is_good
from migration.settling import key_hashes, repeated_keys
from migration.work import Work
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.delta import row_digest
from spark_jobs.storage.fingerprints import Fingerprint, of_row

log = logging.getLogger(__name__)

SHOWN = 10
_CHECKERS = 4


@dataclass(frozen=True, slots=True)
class Found:
    """What one chunk was found to be on both sides."""

    source: Counts
    target: Fingerprint
    refused: Fingerprint  # of the places of records that the source's mapping refuses
    sealed: Fingerprint  # of the places of those that quarantine holds


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong: by chunk, columns in words, and what is no chunk's own fault, in words."""

    chunks: dict[str, str]
    columns: list[str]
    table: list[str]

    @property
    def is_green(self) -> bool:
        """True where nothing is wrong."""
        return not (self.chunks or self.columns or self.table)

    @property
    def may_mark(self) -> bool:
        """True where a chunk that agrees is proved: columns that differ are a red chunk's, or nobody knows whose."""
        return not self.table and (bool(self.chunks) or not self.columns)


def verify_table(work: Work, mapping: Mapping) -> dict[str, Any]:
    """Compare one target with its source, chunk by chunk, and store each chunk as verified or failed.

    Returns what an auditor wants to see; TerminalError names what differs. Each side is read once and only sums leave a
    task; chunks that lack rows, where rows were settled away, are read once more.
    """
    table = mapping.table
    _check_ready(work, table)
    version = delta.current_version(work.lake, table)
    target = delta.read(work.lake, table, version=version)
    with files_blamed(work.lake), rehashed(work, table) as others, compared(work, mapping, target) as found:
        verdict = Verdict(
            _problems_of(work, found.sides, others()),
            list(columns.differences(table, found.source, _claimed(found, table))),
            [*unknown_rows(work, table, target, found.outside), *_twice(target, table, found.twice)],
        )
        facts = {"table": table.name, "version": version, "columns": columns.shown(table, found.target)}
        if found.replaced and (gave_way := given_way(found.replaced.rows, found.mine)):
            facts["gave_way"] = gave_way
        shown = list(verdict.chunks)[:SHOWN]
        lines = _lines(work, mapping, target, gone=found.replaced, origins=shown) if shown else []
    _mark(work, table, verdict)
    if not verdict.is_green:
        raise TerminalError(_report(table, verdict, lines))
    if derived := check_derived(work, table):
        facts["derived"] = derived
    work.ledger.record_step(work.plan.plan_id, VERIFIED, facts)
    return facts


def _check_ready(work: Work, table: Table) -> None:
    """Every chunk is copied and its file is the planned one, or there is nothing to compare."""
    source = work.source
    with ThreadPoolExecutor(_CHECKERS) as checkers:
        for page in batched(work.ledger.chunks(work.plan.plan_id, target=table.name), PAGE):
            for chunk in page:
                _check_copied(chunk, table)
            for _ in checkers.map(source.check_unchanged, page):
                pass


def _check_copied(chunk: Chunk, table: Table) -> None:
    if chunk.state in (ChunkState.PLANNED, ChunkState.COPYING) or chunk.counts is None:
        raise TerminalError(f"chunk {chunk.chunk_id} is {chunk.state}, wanted copied; run `migration copy` first")
    if chunk.contract_hash != table.contract_hash:
        raise TerminalError(
            f"chunk {chunk.chunk_id} was planned for contract {chunk.contract_hash} of {table.name}, which is now "
            f"{table.contract_hash}; use the release that copied it, or plan and copy again into a new table"
        )


def _problems_of(work: Work, sides: DataFrame, others: Keys[str, str]) -> dict[str, str]:
    """Origin to problem of the chunks that differ.

    In: `Compared.sides`; by id the chunks whose files are not the planned ones, byte for byte.
    """
    problems: dict[str, str] = {}
    for page in batched(sides.toLocalIterator(), PAGE):
        rows = {row["origin"]: row for row in page}
        for chunk in work.ledger.named(work.plan.plan_id, [origin.removeprefix("migration/") for origin in rows]):
            content = [others[chunk.chunk_id]] if chunk.chunk_id in others else []
            if problem := "; ".join([*content, *_problems(chunk, _found(rows[chunk.origin]))]):
                problems[chunk.origin] = problem
    return problems


def _found(row: Row) -> Found:
    numbers = row.asDict()
    names = (READ, READ_REFUSED, REPLACED, TARGET, SEALED_REFUSED)
    good, refused, gone, target, sealed = (of_row(numbers, name) for name in names)
    # Fingerprints are a group: what must stand in the target is what was read without what gave way.
    counts = Counts(good.rows + refused.rows, refused.rows, gone.rows, good - gone)
    return Found(counts, target, refused, sealed)


def _problems(chunk: Chunk, found: Found) -> Iterator[str]:
    source = found.source
    if source.read != chunk.records:
        yield f"planned {chunk.records} records, the source has {source.read} now"
    if found.target != source.good:
        yield f"the target holds {_text(found.target)}, the source says {_text(source.good)}"
    if found.sealed.rows != source.quarantined:
        yield f"quarantine holds {found.sealed.rows} records, the source has {source.quarantined} bad ones"
    elif found.sealed != found.refused:
        yield f"quarantine holds other records than the {source.quarantined} bad ones of the source"
    if chunk.counts != source:
        yield f"the ledger holds {chunk.counts}, the source says {source}"


def _claimed(found: Compared, table: Table) -> columns.Facts:
    """What the source must have: the columns of what stands in the target, and of what rightly does not."""
    absent = [found.replaced.summed.columns[REPLACED]] if found.replaced else []
    return columns.together([found.target, *absent], table)


def _twice(target: DataFrame, table: Table, twice: DataFrame | None) -> list[str]:
    if twice is None:
        return []
    keys = repeated_keys(target, table, among=twice).limit(SHOWN).count()
    return [f"  natural keys stand more than once, {keys} or more; run `migration settle`"] if keys else []


def _lines(work: Work, mapping: Mapping, target: DataFrame, *, gone: Replaced | None, origins: list[str]) -> list[str]:
    """The first lines that differ in these chunks, in words."""
    place, keys = ["origin", "origin_position"], key_hashes(mapping.table)
    read = source_rows(work, mapping, among=origins).where(is_good())
    wanted = read.select(*place, digest_of(mapping).alias("digest"), *keys)
    if gone:
        # A line's position is unique in its chunk: the join takes out exactly the lines that gave way.
        wanted = wanted.join(gone.rows, on=place, how="left_anti")
    stored = target.where(F.col("origin").isin(origins))
    held = stored.select(*place, row_digest(mapping.table.types).alias("digest"), *keys)
    return differing_lines(wanted, held, origins)


def _mark(work: Work, table: Table, verdict: Verdict) -> None:
    """Store what was found of each chunk; where the table as a whole is red, none of its chunks is verified."""
    for page in batched(work.ledger.chunks(work.plan.plan_id, target=table.name), PAGE):
        judged = [(chunk, _judged(chunk, verdict)) for chunk in page]
        work.ledger.store([(before, after) for before, after in judged if before != after])
    log.info("verified %s: %d chunks differ", table.name, len(verdict.chunks))


def _judged(chunk: Chunk, verdict: Verdict) -> Chunk:
    if problem := verdict.chunks.get(chunk.origin):
        return chunk.moved_to(ChunkState.FAILED, message=f"verification: {problem}")
    copied = chunk if chunk.state is ChunkState.COPIED else chunk.moved_to(ChunkState.COPIED)
    return copied.moved_to(ChunkState.VERIFIED) if verdict.may_mark else copied


def _text(fingerprint: Fingerprint) -> str:
    return f"{fingerprint.rows} rows ({fingerprint.digest_xor:x}, {fingerprint.digest_sum:x})"


def _report(table: Table, verdict: Verdict, lines: list[str]) -> str:
    shown = [f"  {origin}: {problem}" for origin, problem in list(verdict.chunks.items())[:SHOWN]]
    more = [f"  and {len(verdict.chunks) - SHOWN} further chunks"] if len(verdict.chunks) > SHOWN else []
    held = [f"  {line}" for line in verdict.columns[:SHOWN]]
    repair = "replace a chunk's rows with `migration copy --repair CHUNK`, then `settle` and `verify`"
    wanted = [repair] if verdict.chunks else []
    return "\n".join(
        [f"{table.name} does not agree with its source:", *shown, *more, *lines, *held, *verdict.table, *wanted]
    )
