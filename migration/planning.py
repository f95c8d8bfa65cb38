"""Planning: what is taken, exactly as it is now, and what is not, with the reason."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from migration import drafts
from migration.chunks import Chunk
from migration.jobfile import Job
from migration.ledger import Ledger, Plan, now
from migration.recall import planned_files
from migration.sources.source import Refused, Source, Unnamed, nothing_planned

PLAN_DIGITS = 16


@dataclass(slots=True)
class Draft:
    """A plan that is not in force yet: what it takes, what it refuses, and what no mapping names.

    Its chunks lie in the ledger under `drafts.id_of(job)`; `drafts.adopt` puts it in force.
    """

    plan: Plan
    chunks: int = 0
    bytes: int = 0
    records: int = 0
    refused: list[Refused] = field(default_factory=list)
    unnamed: list[str] = field(default_factory=list)


def draft_plan(job: Job, ledger: Ledger, source: Source, *, is_reread: bool = False) -> Draft:
    """Look at everything the job names once; no plan is in force yet. TerminalError where there is no such source.

    Chunks go to the ledger a page at a time, so that any number of them fits. What size and time say was planned
    already is read again only where `is_reread`.
    """
    draft = Draft(Plan("", job.name, job.version, source.address, now()))
    drafts.begin(ledger, job.name)
    planned = nothing_planned if is_reread else partial(planned_files, ledger)
    found = source.look(job.mappings, partial(drafts.known_parts, ledger), planned)
    drafts.add(ledger, job.name, _taken(draft, found))
    _refuse_contradictions(draft, ledger, job.name)
    refused = ((one.source_object, one.reason) for one in draft.refused)
    drafts.leave_out(ledger, job.name, chain(refused, ((name, "") for name in draft.unnamed)))
    totals = ledger.totals(drafts.id_of(job.name))
    draft.chunks, draft.bytes, draft.records = (
        sum(row[name] for row in totals) for name in ("chunks", "bytes", "records")
    )
    draft.plan = Plan(_plan_id(job, ledger), job.name, job.version, source.address, draft.plan.created_at)
    return draft


def _taken(draft: Draft, found: Iterator[Chunk | Refused | Unnamed]) -> Iterator[Chunk]:
    for item in found:
        if isinstance(item, Refused):
            draft.refused.append(item)
        elif isinstance(item, Unnamed):
            draft.unnamed.append(item.source_object)
        else:
            yield item


def _refuse_contradictions(draft: Draft, ledger: Ledger, job: str) -> None:
    """Take out of the draft what contradicts rows that stand in the target, from any plan."""
    for name, other in drafts.copied_with_other_content(ledger, job):
        reason = f"another content of it was copied as {other}; put that file back, or give the new one a new name"
        draft.refused.append(Refused(name, reason))
        drafts.take_out(ledger, job, source_object=name)
    for name, other in drafts.copied_in_other_parts(ledger, job):
        reason = f"rows of it were copied in other parts, such as {other}; bring `split_by`, `where` and its key back"
        draft.refused.append(Refused(name, reason))
        drafts.take_out(ledger, job, source_object=name)
    for chunk_id, before, found in drafts.copied_with_other_count(ledger, job):
        reason = f"it was copied with {before} records and has {found} now; history must not change: undo that"
        draft.refused.append(Refused(chunk_id, reason))
        drafts.take_out(ledger, job, chunk_id=chunk_id)


def _plan_id(job: Job, ledger: Ledger) -> str:
    """The same chunks under the same mappings are the same plan, whenever it is made."""
    for known in ledger.plans_of(job.name):
        if known.job_version == job.version and drafts.is_like(ledger, job.name, known.plan_id):
            return known.plan_id  # perhaps by another id: a requeue made mended mappings its own
    digest = hashlib.sha256(f"{job.name}\n{job.version}\n".encode())
    for chunk_id in drafts.chunk_ids(ledger, job.name):
        digest.update(f"{chunk_id}\n".encode())
    return digest.hexdigest()[:PLAN_DIGITS]
