"""The verbs of the command line, one function each: what they do to a plan, and the facts that they answer with."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from migration import activity, report, seam, switches
from migration.aftermath import made_known
from migration.choosing import check_rules, known_plan, plan_anew, source_of
from migration.copying import copy_all, repair_chunk
from migration.deriving import derive
from migration.estimate import estimate, speed_of
from migration.fencing import check_fence, fence
from migration.gate import verified_versions
from migration.healing import heal
from migration.history import told, told_verification
from migration.jobfile import Job, load_job
from migration.lease import held
from migration.ledger import IN_TARGET, Ledger, Plan, open_ledger
from migration.pace import overridden
from migration.refusals import count_refusals
from migration.requeueing import requeue
from migration.settling import settle
from migration.shadowing import shadow
from migration.switching import cut_over, finish, roll_back
from migration.tracking import Amount
from migration.verifying import verify_table
from migration.waiting import left
from migration.watching import watched
from migration.work import Work
from spark_jobs.errors import TerminalError
from spark_jobs.ingest.job import pass_barrier, topic_ends
from spark_jobs.settings import Settings, load
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.runs import Run, recorded
from spark_jobs.storage.session import session
from trino_catalog.connection import connected

Facts = dict[str, Any]
PLANNING = ("plan", "run")
REQUEUE, VERIFY, FINISH = "requeue", "verify", "finish"


def execute(verb: str, args: argparse.Namespace) -> Facts:
    """Run one verb under the job's lease, with one Spark session, recorded in `ops.runs`."""
    settings = load(args.settings)
    job = load_job(Path(args.job), source=args.source)
    settings.workspace(job.workspace)
    with open_ledger(settings.ledger_url) as ledger, held(ledger, job.name) as lease:
        plan = _plan_before(verb, args, job, ledger, settings=settings)
        with (
            session(settings.spark, f"databank migration {verb}") as spark,
            recorded(Lake(spark, settings.storage_root), f"migration {verb}", job.workspace) as run,
        ):
            lake = Lake(spark, settings.storage_root)
            doors = (settings.webhdfs_url, settings.source_accounts)

            def work_on(plan: Plan) -> Work:
                return Work(lake, ledger, lease, job, plan, settings.root_key_file, run.run_id, *doors)

            drafted: Facts = {}
            if plan is None or verb in PLANNING:
                before, source = work_on(plan) if plan else None, source_of(job, settings)
                told_to = {"is_partial": args.without_refused, "is_reread": args.reread}
                plan, drafted = plan_anew(before, job, ledger, source, **told_to)
            work = work_on(plan)
            activity.begin(ledger, plan.plan_id, verb, run.run_id)
            with made_known(work, settings):
                _begin(work, verb)
                facts = noted(work, verb, settings, args)
            _count(run, ledger, plan)
        return {"plan": plan.plan_id, **drafted, **facts}


def _plan_before(verb: str, args: argparse.Namespace, job: Job, ledger: Ledger, *, settings: Settings) -> Plan | None:
    """The plan that a verb works on, or after which it makes another one; what is wrong is said before Spark starts."""
    if verb in PLANNING:
        return ledger.plan_in_force(job.name)
    plan = known_plan(args, job, ledger, settings)
    if verb != REQUEUE:
        check_rules(plan, job)
    return plan


def _begin(work: Work, verb: str) -> None:
    """Keep out who had the job before, and learn from the tables' logs what he did."""
    fence(work)
    for mapping in work.mappings:
        heal(work, mapping.table, may_mend=verb == REQUEUE)
    switches.heal(work)
    seam.heal(work)


def noted(work: Work, verb: str, settings: Settings, args: argparse.Namespace) -> Facts:
    """Do a verb and note it; then its report is written, where it has one, so that this step stands in it."""
    try:
        facts = told(work, verb, partial(VERBS[verb], work, settings, args))
    except TerminalError as error:
        if verb != VERIFY:
            raise
        raise TerminalError(f"{error}\nreport: {_report(work, settings, args)['page']}") from error
    return {**facts, **_report(work, settings, args)} if verb in (VERIFY, FINISH) else facts


def _count(run: Run, ledger: Ledger, plan: Plan) -> None:
    """What `ops.runs` says of the verb: where all records of the plan stand after it."""
    run.detail["plan"] = plan.plan_id
    for row in ledger.totals(plan.plan_id):
        run.rows_in += row["rows_read"]
        run.rows_out += row["rows_good"]
        run.rows_quarantined += row["rows_quarantined"]
        run.rows_duplicate += row["rows_duplicate"]


def _planned(work: Work, _settings: Settings, _args: argparse.Namespace) -> Facts:
    copied = sum(row["chunks"] for row in work.ledger.totals(work.plan.plan_id) if row["state"] in IN_TARGET)
    waiting = sum(left(work.ledger, work.plan.plan_id).values(), Amount())
    return {"copied": copied, **estimate(waiting, speed_of(work.ledger), work.job.pace)}


def _copied(work: Work, settings: Settings, args: argparse.Namespace) -> Facts:
    if args.repair:
        repair_chunk(work, args.repair)
        return {"repaired": args.repair}
    seam.note(work, partial(topic_ends, settings))
    pace = overridden(work.job.pace, parallel=args.parallel, rate=args.rate, is_now=args.now)
    with watched(work, pace, metrics=settings.metrics_dir) as watch:
        copy_all(work, pace=pace, watch=watch)
    found = watch.figures()
    done = {"copied": found.total.chunks, "copied_bytes": found.total.bytes, "copied_records": found.total.records}
    return {**done, "copied_in_s": round(found.work_s, 1), **_totals(work)}


def _requeued(work: Work, _settings: Settings, args: argparse.Namespace) -> Facts:
    found = requeue(work, chunk_id=args.chunk, reason=args.reason)
    return {"requeued": found.good, "refused_again": found.refused, "complete": found.is_complete, **_totals(work)}


def _settled(work: Work, _settings: Settings, _args: argparse.Namespace) -> Facts:
    history = live = 0
    for mapping in work.mappings:
        by, check = mapping.newest_by, partial(check_fence, work)
        settled = settle(work.lake, mapping.table, run_id=work.run_id, newest_by=by, check=check)
        history, live = history + settled.history, live + settled.live
        if settled.history:
            heal(work, mapping.table)
    return {"settled_history": history, "settled_live": live, **_totals(work)}


def _verified(work: Work, _settings: Settings, _args: argparse.Namespace) -> Facts:
    names = [mapping.table.name for mapping in work.mappings]
    found = [told_verification(work, m.table.name, partial(verify_table, work, m)) for m in work.mappings]
    if problems := [problem for problem in found if problem is not None]:
        raise TerminalError("\n".join(problems))
    return {"verified": names, **_totals(work)}


def _derived(work: Work, _settings: Settings, _args: argparse.Namespace) -> Facts:
    found = derive(work)
    done = {"derived_rows": found.rows.inserted, "corrected_rows": found.rows.updated}
    return {"orders": found.orders, **done, "removed_rows": found.rows.deleted, "replaced_live_rows": found.replaced}


def _shadowed(work: Work, settings: Settings, _args: argparse.Namespace) -> Facts:
    with connected(settings.trino_url, account=settings.trino_account) as client:
        return {"shadow": shadow(work, client, versions=verified_versions(work))}


def _cut_over(work: Work, settings: Settings, _args: argparse.Namespace) -> Facts:
    with connected(settings.trino_url, account=settings.trino_account) as client:
        return {"cut_over": cut_over(work, client, partial(pass_barrier, work.lake, settings))}


def _rolled_back(work: Work, settings: Settings, _args: argparse.Namespace) -> Facts:
    with connected(settings.trino_url, account=settings.trino_account) as client:
        return {"rolled_back": roll_back(work, client)}


def _finished(work: Work, _settings: Settings, _args: argparse.Namespace) -> Facts:
    return {"finished": finish(work)}


def _ran(work: Work, settings: Settings, args: argparse.Namespace) -> Facts:
    facts: Facts = {}
    for verb in ("copy", "settle", "derive", VERIFY, *(("shadow", "cutover") if args.cutover else ())):
        activity.begin(work.ledger, work.plan.plan_id, verb, work.run_id)
        facts |= noted(work, verb, settings, args)
    return facts


def _report(work: Work, settings: Settings, args: argparse.Namespace) -> dict[str, str]:
    count_refusals(work)
    return report.write_report(work.ledger, work.plan, report.folder_of(args, settings))


def _totals(work: Work) -> Facts:
    rows = work.ledger.totals(work.plan.plan_id)
    places = {
        "read": "rows_read",
        "good": "rows_good",
        "quarantined": "rows_quarantined",
        "duplicate": "rows_duplicate",
    }
    return {name: sum(row[column] for row in rows) for name, column in places.items()}


VERBS: Mapping[str, Callable[[Work, Settings, argparse.Namespace], Facts]] = {
    "plan": _planned,
    "copy": _copied,
    REQUEUE: _requeued,
    "settle": _settled,
    VERIFY: _verified,
    "derive": _derived,
    "shadow": _shadowed,
    "cutover": _cut_over,
    "rollback": _rolled_back,
    FINISH: _finished,
    "run": _ran,
}
