"""Compute the tags of every person of a workspace at one base time, record the changes, publish all in one commit."""

from __future__ import annotations

import argparse
import logging
from datetime import UTC, datetime
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.derived import (
    PERSON_TAGS,
    TAG_CHANGES,
    TAG_PUBLICATIONS,
    TAG_REFUSED,
    TAG_TIMERS,
    TAG_VERSIONS,
)
from spark_jobs.contracts.schema import Table
from spark_jobs.errors import TerminalError
from spark_jobs.people.refusals import refusals_of
from spark_jobs.settings import Settings, Workspace
from spark_jobs.storage import delta, generations, runs
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.tagging import publications
from spark_jobs.tagging.asking import uses_of_audiences
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.changes import Before, Turned, Unmoved, changes_between
from spark_jobs.tagging.check import Asked, catalogue_of, moment_of_run
from spark_jobs.tagging.checking import check_catalogue
from spark_jobs.tagging.definitions import Catalogue, digest
from spark_jobs.tagging.guarding import held_back
from spark_jobs.tagging.in_use import all_uses, refuse_removal, uses_of
from spark_jobs.tagging.left_out import left_out_of
from spark_jobs.tagging.limits import named
from spark_jobs.tagging.preparing import Clock, Computed, Work, computed, prepared
from spark_jobs.tagging.publications import Publication, publication_from
from spark_jobs.tagging.rows import TIMER, UNMOVED

log = logging.getLogger(__name__)

OWN_TABLES = (PERSON_TAGS, TAG_CHANGES, TAG_TIMERS, TAG_REFUSED, TAG_VERSIONS, TAG_PUBLICATIONS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose tags, by which definitions, for which moment."""
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose tags are computed")
    moments = parser.add_mutually_exclusive_group()
    moments.add_argument(
        "--base", metavar="TIME", help="moment for which they hold, on the workspace's clocks; default: last midnight"
    )
    moments.add_argument("--day", metavar="DATE", help="the moment at which this date begins on the workspace's clocks")
    moments.add_argument(
        "--as-of", metavar="INSTANT", help="the last midnight before this instant (with its offset), whenever it runs"
    )
    parser.add_argument("--catalogue", metavar="DIR", type=Path, help="tag definitions; default: the shipped ones")


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse, before Spark starts, everything that is wrong with catalogue and base time."""
    workspace = settings.workspace(args.workspace)
    catalogue = _to_publish(args.catalogue, workspace)
    check_catalogue(catalogue, moment_of_run(Asked(args.base, args.day, args.as_of), workspace, catalogue))
    left_out_of(catalogue, settings.profiles.refusal_tag if settings.profiles else "", ())


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Compute and write, then publish in one commit; a run that finds nothing new publishes nothing."""
    lake, clock = Lake(spark, settings.storage_root), Clock()
    workspace = settings.workspace(args.workspace)
    with runs.recorded(lake, "tags", workspace.name) as record:
        with clock.step("prepare"):
            work = _prepared(lake, settings, args, run_id=record.run_id, clock=clock)
        standing = _standing(work)
        accepted: tuple[str, ...] = ()
        if standing is None:
            done, accepted = _compute(work)
        else:
            done = standing
        with clock.step("clean"):
            _forget(work)
        record.rows_in, record.rows_out = done.persons, done.rows
        facts = {"base_at": moment_of(done.state.base).isoformat(), "version": digest(done.state.as_facts())}
        record.detail = {**facts, "generation": done.generation, "kind": done.kind}
    log.info("tags of %s: %d persons, %d rows", workspace.name, done.persons, done.rows)
    return {
        **record.detail,
        "workspace": workspace.name,
        "snapshot_id": done.state.snapshot_id,
        "changed": standing is None,
        "persons": done.persons,
        "refused": done.refused,
        "rows": done.rows,
        "changes": 0 if standing else done.changes,
        "populations": done.populations_shown,
        "accepted": list(accepted),
        "deprecated": sorted(name for name, one in done.state.tags.items() if one.state == "deprecated"),
        "versions": {name: version.version for name, version in done.state.tags.items()},
        "seconds": clock.seconds,
    }


def _prepared(lake: Lake, settings: Settings, args: argparse.Namespace, *, run_id: str, clock: Clock) -> Work:
    workspace = settings.workspace(args.workspace)
    catalogue = _to_publish(args.catalogue, workspace)
    moment = moment_of_run(Asked(args.base, args.day, args.as_of), workspace, catalogue)
    check_catalogue(catalogue, moment)
    work = prepared(lake, catalogue, moment, refusals=refusals_of(settings), run_id=run_id, clock=clock)
    names = {tag.name for tag in catalogue.tags}
    if work.before is not None and work.kind == "current" and set(work.before.state.tags) - names:
        uses = all_uses(uses_of(settings, workspace.name), uses_of_audiences(lake, workspace.name))
        refuse_removal(work.before.state.tags, names, uses, workspace=workspace.name)
    for table in OWN_TABLES:
        delta.ensure(lake, table)
    return work


def _to_publish(folder: Path | None, workspace: Workspace) -> Catalogue:
    """The catalogue without its drafts; TerminalError where nothing is left."""
    found = catalogue_of(folder, workspace.name).without_drafts
    if not found.tags:
        raise TerminalError(f"catalogue of {workspace.name}: all definitions are drafts; set one to `state: published`")
    return found


def _standing(work: Work) -> Publication | None:
    """What is published of just this state, in force or beside it; a run that is repeated finds its own."""
    if work.kind == "current":
        return work.before if work.before and work.before.state == work.state else None
    published = delta.read(work.lake, TAG_PUBLICATIONS).where(publications.looked_at(work.state, datetime.now(UTC)))
    found = map(publication_from, published.orderBy("generation").collect())
    return next((one for one in found if one.state == work.state), None)


def _compute(work: Work) -> tuple[Publication, tuple[str, ...]]:
    """What was published, and the tags whose shares a person accepted for it."""
    clock = work.clock
    with computed(work) as found:
        accepted = held_back(work.lake, found.findings, work.attempt)
        with clock.step("write"):
            _write(found, work)
        with clock.step("changes"):
            moved = found.moved.tags if found.moved else frozenset()
            unmoved = Unmoved(moved, work.labels.unmoved(found.answers, UNMOVED))
            changes = _write_changes(work, unmoved) if work.kind == "current" else 0
        done = Publication(
            work.generation,
            work.number,
            work.kind,
            work.state,
            named(found.limits),
            found.populations,
            persons=found.persons,
            rows=found.rows,
            changes=changes,
            refused=found.refused_persons,
        )
    with clock.step("publish"):
        _publish(done, work)
    return done, accepted


def _write(found: Computed, work: Work) -> None:
    """Versions first, so that no row ever names an unknown one; then values and timers, which nobody sees yet."""
    lake, labels, answers = work.lake, work.labels, found.answers
    versions = labels.versions(work.catalogue, work.stamps)
    made = lake.spark.createDataFrame(versions, TAG_VERSIONS.ddl).coalesce(1)
    known = delta.read(lake, TAG_VERSIONS).select(*TAG_VERSIONS.key)
    once = Transaction(f"tags/versions/{digest(work.state.as_facts())}", 1)
    delta.append(made.join(known, list(TAG_VERSIONS.key), "left_anti"), lake, TAG_VERSIONS, once=once)
    # A tag is a partition: its rows go to as few files as its size asks for.
    once = Transaction(f"tags/generation/{work.generation}", 1)
    delta.append(labels.values(answers).hint("rebalance", "tag"), lake, PERSON_TAGS, once=once)
    delta.append(labels.timers(answers, TIMER).hint("rebalance"), lake, TAG_TIMERS, once=once)
    if found.refused is not None:
        rows = labels.refused(found.refused, work.refusals.tag).hint("rebalance")
        delta.append(rows, lake, TAG_REFUSED, once=once)


def _write_changes(work: Work, unmoved: Unmoved) -> int:
    """What differs from the state in force; how many rows."""
    before = None
    if work.before is not None:
        values, timers = (_rows(work, table, work.before.generation) for table in (PERSON_TAGS, TAG_TIMERS))
        before = Before(values, timers, work.before.state)
    new = _rows(work, PERSON_TAGS, work.generation)
    changes = changes_between(before, new, work.state, unmoved, turned=_turned(work))
    carried = {"state_version": F.lit(work.number), "generation": F.lit(work.generation)}
    changes = changes.withColumns(carried).persist()
    delta.append(changes, work.lake, TAG_CHANGES, once=Transaction(f"tags/generation/{work.generation}", 1))
    count = changes.count()
    changes.unpersist()
    return count


def _turned(work: Work) -> Turned | None:
    """Who refuses since the state in force, or no longer; None where nobody could, then and now."""
    if work.before is None or not (work.before.state.refusals or work.state.refusals):
        return None
    then, now = (
        _rows(work, TAG_REFUSED, name).select("person_id") for name in (work.before.generation, work.generation)
    )
    return Turned(now.exceptAll(then).unionByName(then.exceptAll(now)), work.refusals.tag)


def _rows(work: Work, table: Table, generation: str) -> DataFrame:
    return delta.read(work.lake, table).where(publications.exactly(work.state.workspace, [generation]))


def _publish(done: Publication, work: Work) -> None:
    """All that was written counts from this commit on; RetryableError where another run took the number."""
    row = work.lake.spark.createDataFrame([done.as_row(datetime.now(UTC))], TAG_PUBLICATIONS.ddl)
    if done.kind == "as_of":  # it takes no number, and whoever takes one meanwhile is nothing to it
        once = Transaction(f"tags/as_of/{done.generation}", 1)
        delta.append(row, work.lake, TAG_PUBLICATIONS, once=once)
        return
    within, writer = publications.states_of(done.state.workspace), f"tags/publications/{done.state.workspace}"
    generations.publish(row, work.lake, TAG_PUBLICATIONS, within=within, writer=writer)


def _forget(work: Work) -> None:
    """Delete what no reader needs any more, and what runs that died or lost left behind.

    Kept are the state in force, the one before it, which somebody may be reading, and as-of answers for a week.
    """
    workspace = work.state.workspace
    published = delta.read(work.lake, TAG_PUBLICATIONS).where(F.col("workspace_id") == workspace)
    states = published.where("kind = 'current'").orderBy(F.desc("number")).limit(2).collect()
    kept, newest = [row["generation"] for row in states], states[0]["number"]
    gone = publications.leftovers(workspace, newest, kept, now=datetime.now(UTC))
    for table in (PERSON_TAGS, TAG_TIMERS, TAG_REFUSED):
        generations.forget(work.lake, table, gone)
    late = (F.col("state_version") > newest - publications.NUMBERS_LOOKED_AT) & (F.col("state_version") <= newest)
    found = delta.read(work.lake, TAG_CHANGES).where((F.col("workspace_id") == workspace) & late)
    lost = found.select("generation").distinct().join(published, "generation", "left_anti").collect()
    if dead := [row["generation"] for row in lost if row["generation"] is not None]:
        generations.forget(work.lake, TAG_CHANGES, publications.exactly(workspace, dead))
