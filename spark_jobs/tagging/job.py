"""Compute the tags of every person of a workspace at one base time, publish them in one commit, record the changes."""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES, TAG_TIMERS, TAG_VERSIONS
from spark_jobs.contracts.tables import table_named
from spark_jobs.errors import TerminalError
from spark_jobs.settings import Settings, Workspace
from spark_jobs.storage import delta, runs
from spark_jobs.storage.commits import Commit, newest_commits
from spark_jobs.storage.delta import Lake, Transaction
from spark_jobs.storage.snapshots import published_snapshot_id
from spark_jobs.tagging.answers import TIMER
from spark_jobs.tagging.calendar import moment_of
from spark_jobs.tagging.changes import changes_between
from spark_jobs.tagging.check import catalogue_of, moment_of_run
from spark_jobs.tagging.checking import check_catalogue
from spark_jobs.tagging.computing import answers_from, buckets_from, features_from, limits_from, populations_from
from spark_jobs.tagging.definitions import Catalogue, digest
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan, compile_plan
from spark_jobs.tagging.versions import State, definition_text, state_from, state_of, tables_read, watermark

log = logging.getLogger(__name__)

# Commits of other workspaces and of upkeep may lie between two of one workspace.
COMMITS_LOOKED_AT = 500
MOST_VALUES_SHOWN = 100


@dataclass(slots=True)
class Clock:
    """Seconds of each step."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time the block."""
        started = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - started, 2)


@dataclass(frozen=True, slots=True)
class Work:
    """What every step of a run needs."""

    lake: Lake
    catalogue: Catalogue
    plan: Plan
    moment: Moment
    snapshot_id: str
    stamps: Mapping[str, str]
    clock: Clock

    @property
    def state(self) -> State:
        """What the run is about to write."""
        return state_of(self.catalogue, self.moment, snapshot_id=self.snapshot_id, stamps=self.stamps)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose tags, by which definitions, for which moment."""
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose tags are computed")
    parser.add_argument(
        "--base", metavar="TIME", help="moment for which they hold, on the workspace's clocks; default: last midnight"
    )
    parser.add_argument("--catalogue", metavar="DIR", type=Path, help="tag definitions; default: the shipped ones")


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse, before Spark starts, everything that is wrong with catalogue and base time."""
    workspace = settings.workspace(args.workspace)
    catalogue = catalogue_of(args.catalogue, workspace.name)
    check_catalogue(catalogue, moment_of_run(args.base, workspace, catalogue))


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Compute, publish in one commit, then append what changed; each may be repeated."""
    lake, clock = Lake(spark, settings.storage_root), Clock()
    workspace = settings.workspace(args.workspace)
    with runs.recorded(lake, "tags", workspace.name) as record:
        with clock.step("prepare"):
            work = _prepared(lake, args, workspace, clock)
            _settle(lake, workspace.name)
        facts = _compute(work)
        record.rows_in, record.rows_out = _count(facts["persons"]), _count(facts["rows"])
        record.detail = {"base_at": str(facts["base_at"]), "version": str(facts["version"])}
    log.info("tags of %s: %d persons, %d rows", workspace.name, record.rows_in, record.rows_out)
    return {**facts, "seconds": clock.seconds}


def _count(number: object) -> int:
    assert isinstance(number, int)
    return number


def _prepared(lake: Lake, args: argparse.Namespace, workspace: Workspace, clock: Clock) -> Work:
    catalogue = catalogue_of(args.catalogue, workspace.name)
    moment = moment_of_run(args.base, workspace, catalogue)
    check_catalogue(catalogue, moment)
    plan = compile_plan(catalogue)
    names = tables_read(plan.sources)
    if missing := [name for name in names if not delta.exists(lake, table_named(name))]:
        raise TerminalError(
            f"{lake.root}: found no tables {missing}; run migration, ingest and identity first, or say under `history`"
            " of the catalogue that a source is not recorded (none)"
        )
    snapshot_id = published_snapshot_id(lake)
    stamps = {name: next(newest_commits(lake, table_named(name))).stamp for name in names}
    for table in (PERSON_TAGS, TAG_CHANGES, TAG_TIMERS, TAG_VERSIONS):
        delta.ensure(lake, table)
    return Work(lake, catalogue, plan, moment, snapshot_id, stamps, clock)


def _compute(work: Work) -> dict[str, object]:
    state, clock, workspace = work.state, work.clock, work.catalogue.workspace
    tables = {name: delta.read(work.lake, table_named(name), version=_version(s)) for name, s in work.stamps.items()}
    features = features_from(tables, work.plan, work.moment, workspace=workspace).persist()
    with clock.step("features"):
        persons = features.count()
        limits = limits_from(buckets_from(features, work.plan, work.moment).collect(), work.plan)
    answers = answers_from(features, work.plan, work.moment, limits).persist()
    try:
        with clock.step("answers"):
            counted = populations_from(answers, most=MOST_VALUES_SHOWN).collect()
        with clock.step("publish"):
            _publish(answers, work, state)
        with clock.step("changes"):
            changes = _settle(work.lake, workspace)
    finally:
        answers.unpersist()
        features.unpersist()
    return {
        "workspace": workspace,
        "base_at": moment_of(work.moment.base).isoformat(),
        "snapshot_id": work.snapshot_id,
        "version": digest(state.as_facts()),
        "persons": persons,
        "rows": sum(row["count"] for row in counted if row["value"] is None),
        "changes": changes,
        "populations": _populations(work, counted, persons),
        "versions": {name: version.version for name, version in state.tags.items()},
    }


def _version(stamp: str) -> int:
    return int(stamp.partition("@")[0])


def _populations(work: Work, counted: list[Row], persons: int) -> dict[str, dict[str, int]]:
    """Tag to value to persons, the `otherwise` value included; of many values the most frequent."""
    populations: dict[str, dict[str, int]] = {}
    for number, tag in enumerate(work.catalogue.tags):
        values = {row["value"]: row["count"] for row in counted if row["tag"] == number}
        values[tag.rule.otherwise] = persons - values.pop(None, 0)
        shown = sorted(values.items(), key=lambda item: (-item[1], item[0]))[:MOST_VALUES_SHOWN]
        populations[tag.name] = dict(shown)
    return populations


def _publish(answers: DataFrame, work: Work, state: State) -> None:
    """Versions first, so that no row ever names an unknown one; then all tags in one commit; then the timers."""
    lake, where = work.lake, f"workspace_id = '{state.workspace}'"
    _append_versions(work, state)
    tags = [F.lit(tag.name) for tag in work.catalogue.tags]
    versions = [F.lit(state.tags[tag.name].version) for tag in work.catalogue.tags]
    number = F.col("tag") + 1
    shared = {
        "workspace_id": F.lit(state.workspace),
        "next_change_at": F.timestamp_micros("next_change_at"),
        "base_at": F.lit(moment_of(state.base)),
        "snapshot_id": F.lit(state.snapshot_id),
    }
    rows = answers.where(F.col("tag") != TIMER).withColumns(
        {**shared, "version": F.element_at(F.array(*versions), number), "tag": F.element_at(F.array(*tags), number)}
    )
    # A tag is a partition: its rows go to as few files as its size asks for.
    delta.replace_where(rows.hint("rebalance", "tag"), lake, PERSON_TAGS, where, facts=state.as_facts())
    timers = answers.where(F.col("tag") == TIMER).withColumns(shared)
    delta.replace_where(timers.hint("rebalance"), lake, TAG_TIMERS, where)


def _append_versions(work: Work, state: State) -> None:
    base_at, rows = moment_of(state.base), []
    for tag in work.catalogue.tags:
        mine = state.tags[tag.name]
        read = json.dumps(watermark(tag, work.catalogue, work.stamps), sort_keys=True)
        rows.append(
            (state.workspace, tag.name, mine.version, mine.rule, base_at, state.snapshot_id, read, definition_text(tag))
        )
    made = work.lake.spark.createDataFrame(rows, TAG_VERSIONS.ddl).coalesce(1)
    known = delta.read(work.lake, TAG_VERSIONS).select(*TAG_VERSIONS.key)
    once = Transaction(f"tags/versions/{digest(state.as_facts())}", 1)
    delta.append(made.join(known, list(TAG_VERSIONS.key), "left_anti"), work.lake, TAG_VERSIONS, once=once)


def _settle(lake: Lake, workspace: str) -> int:
    """Append the changes that the workspace's newest state brought, once; how many there are.

    The transaction is the version of the state's own commit, so a run that died between the two is made good by the
    next one, and a repeated one changes nothing.
    """
    states = _states(lake, workspace)
    if not states:
        return 0
    (commit, after), before = states[0], states[1][1] if len(states) > 1 else None
    settled = {"workspace": workspace, "state_version": commit.version}
    if any(done.facts == settled for done in newest_commits(lake, TAG_CHANGES, limit=COMMITS_LOOKED_AT)):
        return 0
    is_mine = F.col("workspace_id") == workspace
    old, new = (
        delta.read(lake, PERSON_TAGS, version=version).where(is_mine)
        for version in (commit.version - 1, commit.version)
    )
    changes = changes_between(old, new, before, after).withColumn("state_version", F.lit(commit.version)).persist()
    once = Transaction(f"tags/changes/{workspace}/{delta.table_id(lake, PERSON_TAGS)}", commit.version)
    delta.append(changes, lake, TAG_CHANGES, once=once, facts=settled)
    count = changes.count()
    changes.unpersist()
    return count


def _states(lake: Lake, workspace: str) -> list[tuple[Commit, State]]:
    """The newest two states of a workspace, newest first, with their commits."""
    found = []
    for commit in newest_commits(lake, PERSON_TAGS, limit=COMMITS_LOOKED_AT):
        state = state_from(commit.facts)
        if state is not None and state.workspace == workspace:
            found.append((commit, state))
    return found[:2]
