"""Which plan a verb works on: a new one of the source as it is now, the named one, or the one in force."""

from __future__ import annotations

import argparse
import logging
from typing import Any

from migration import drafts
from migration.estimate import SHOWN
from migration.healing import heal
from migration.jobfile import Job
from migration.ledger import Ledger, Plan
from migration.planning import Draft, draft_plan
from migration.sources.opening import open_source
from migration.sources.source import Source
from migration.work import Work
from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings

log = logging.getLogger(__name__)


def source_of(job: Job, settings: Settings) -> Source:
    """What the job names, or --source."""
    return open_source(job.source, settings.webhdfs_url, settings.source_accounts)


def known_plan(args: argparse.Namespace, job: Job, ledger: Ledger, settings: Settings) -> Plan:
    """The plan that --plan names, or the job's one in force; TerminalError where --source is not what it reads."""
    plan = ledger.plan(args.plan) if args.plan else ledger.plan_in_force(job.name)
    if plan is None:
        wanted = args.plan or f"of job {job.name}"
        raise TerminalError(
            f"the ledger has no plan {wanted}; run `migration plan` first, `migration status` lists all"
        )
    if args.source is not None and (given := source_of(job, settings).address) != plan.source:
        raise TerminalError(
            f"plan {plan.plan_id} reads {plan.source}, --source says {given}; run `migration plan` with that --source "
            "where the source moved, or leave --source out"
        )
    return plan


def check_rules(plan: Plan, job: Job) -> None:
    """Refuse a plan that was made with other mappings than the job has now."""
    if plan.job_version != job.version:
        raise TerminalError(
            f"plan {plan.plan_id} was made with other mappings ({plan.job_version}, now {job.version}); "
            "bring them back, run `migration plan` again, or, if they were mended for refused rows, `migration requeue`"
        )


def plan_anew(
    before: Work | None, job: Job, ledger: Ledger, source: Source, *, is_partial: bool, is_reread: bool = False
) -> tuple[Plan, dict[str, Any]]:
    """Plan the source as it is now, and put that in force; the plan, and what is said of it.

    In: the work on the plan that was in force. Its ledger is healed first: what a killed copy committed, or what a
    ledger from a backup forgot, stands in the target all the same, so that file must not come with another content.
    """
    if before:
        for mapping in job.mappings:
            heal(before, mapping.table, may_mend=True)
    draft = draft_plan(job, ledger, source, is_reread=is_reread)
    _check_draft(draft, is_partial=is_partial)
    drafts.adopt(ledger, draft.plan)
    return draft.plan, _facts(draft)


def _check_draft(draft: Draft, *, is_partial: bool) -> None:
    if draft.unnamed:
        names = ", ".join(draft.unnamed[:SHOWN])
        log.warning("no mapping names these %d, they are not taken: %s", len(draft.unnamed), names)
    if draft.refused and not is_partial:
        lines = [f"  {refused.source_object}: {refused.reason}" for refused in draft.refused[:SHOWN]]
        lines += [f"  and {len(draft.refused) - SHOWN:,} more"] if len(draft.refused) > SHOWN else []
        raise TerminalError(
            "\n".join(["the plan cannot take:", *lines, "nothing was planned; mend these or give --without-refused"])
        )
    if not draft.chunks:
        raise TerminalError("the plan has nothing to take; check `source` and what the mappings name")


def _facts(draft: Draft) -> dict[str, Any]:
    return {
        "chunks": draft.chunks,
        "bytes": draft.bytes,
        "records": draft.records,
        "refused": {refused.source_object: refused.reason for refused in draft.refused},
        "not_named": draft.unnamed,
    }
