"""Decide of which carts and unpaid orders somebody is to be told: each once, unless the person bought or is spared."""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

from spark_jobs.contracts.core import EVENTS, ORDERS
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_PUBLICATIONS, TAG_VERSIONS
from spark_jobs.contracts.identity import PERSONS
from spark_jobs.contracts.journeys import ORDER_CHANGES
from spark_jobs.contracts.schema import Table
from spark_jobs.contracts.triggers import TRIGGER_RUNS, TRIGGERS
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.people.refusals import noted
from spark_jobs.people.refusing import by_tag
from spark_jobs.people.resolve import with_person
from spark_jobs.people.system_time import newest_at
from spark_jobs.settings import Settings, Workspace
from spark_jobs.storage import checkpoints, delta, runs
from spark_jobs.storage.checkpoints import Scratch
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import Snapshot, published_map, published_snapshot
from spark_jobs.triggers import deciding, occasions, publication, refusals
from spark_jobs.triggers.moments import instant_of, micros_in, moment_of_run
from spark_jobs.triggers.occasions import SUBJECT, Rule
from spark_jobs.triggers.publication import STEP, Run
from spark_jobs.triggers.quiet import quiet_until
from spark_jobs.triggers.reading import triggers_of

log = logging.getLogger(__name__)

_DAY_US = micros_in(timedelta(days=1))


@dataclass(frozen=True, slots=True)
class Work:
    """What every step of a run needs.

    `before_us` is the moment of the last decision, or this one before the first; `is_new_moment` is false where that
    was decided already.
    """

    lake: Lake
    scratch: Scratch
    rules: tuple[Rule, ...]
    snapshot: Snapshot
    run: Run
    before_us: int
    is_new_moment: bool

    @property
    def since(self) -> datetime:
        """Nothing that happened before can be told of, or has been since the last decision."""
        longest = max(rule.trigger.expires for rule in self.rules)
        return instant_of(min(self.run.at_us, self.before_us)) - longest


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose triggers, by which definitions, at which moment."""
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose carts and orders are meant")
    parser.add_argument("--triggers", metavar="DIR", type=Path, help="definitions; default: the shipped ones")
    parser.add_argument("--at", metavar="INSTANT", help="decide as of this instant (with its offset); default: now")


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse, before Spark starts, what is wrong with definitions and moment."""
    triggers_of(args.triggers, settings.workspace(args.workspace).name)
    moment_of_run(args.at, None)


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Decide, write, then publish in one commit; a run that finds nothing new at the same moment writes nothing."""
    lake, workspace = Lake(spark, settings.storage_root), settings.workspace(args.workspace)
    for table in (TRIGGERS, TRIGGER_RUNS):
        delta.ensure(lake, table)
    with (
        runs.recorded(lake, "triggers", workspace.name) as record,
        checkpoints.scratch(lake, "triggers", record.run_id) as scratch,
    ):
        work = _prepared(lake, scratch, workspace, args, generation=record.run_id)
        facts = _decide(work, settings)
        record.rows_in, record.rows_out = facts["occasions"], facts["steps"]
        record.detail = {name: facts[name] for name in ("at", "number", "nobody", "refused")}
    log.info("triggers of %s: %d occasions, %d steps", workspace.name, record.rows_in, record.rows_out)
    return {"workspace": workspace.name, **facts}


def _prepared(lake: Lake, scratch: Scratch, workspace: Workspace, args: argparse.Namespace, *, generation: str) -> Work:
    newest = publication.standing(lake, workspace.name)
    at_us = moment_of_run(args.at, newest.at_us)
    at = instant_of(at_us)
    found = triggers_of(args.triggers, workspace.name)
    rules = tuple(Rule(trigger, quiet_until(trigger.quiet, at, workspace.zone)) for trigger in found)
    snapshot = published_snapshot(lake)
    mine = Run(workspace.name, newest.number + 1, generation, "decide", at_us, snapshot.snapshot_id)
    before_us = at_us if newest.at_us is None else newest.at_us
    return Work(lake, scratch, rules, snapshot, mine, before_us, is_new_moment=newest.at_us != at_us)


def _decide(work: Work, settings: Settings) -> dict[str, Any]:
    run, tables = work.run, _tables(work)
    people = published_map(work.lake, work.snapshot)
    frames = list(_occasions(work, tables))
    if not frames:
        raise TerminalError(f"{work.lake.root}: found no {ORDER_CHANGES.name}; fill it, or define triggers of carts")
    named = with_person(reduce(DataFrame.unionByName, frames), people, at="since_at")
    found = work.scratch.keep(_with_refusals(named, work, settings, people), "occasions")
    seen = found.agg(*_counts(run.at_us)).collect()[0].asDict()
    steps = work.scratch.keep(_steps(work, found, _ends(work, tables, people), people), "steps")
    counted = steps.groupBy("trigger", "state", "reason").agg(F.count("*").alias("count"))
    said = [row.asDict() for row in counted.orderBy("trigger", "state", "reason").collect()]
    total = sum(int(one["count"]) for one in said)
    if total:
        publication.write(steps, work.lake, run)
    if total or work.is_new_moment:
        publication.publish(work.lake, run, steps=total)
        publication.forget(work.lake, run.workspace, run.number)
    return {
        "at": instant_of(run.at_us).isoformat(),
        "number": run.number if total or work.is_new_moment else run.number - 1,
        "snapshot_id": work.snapshot.snapshot_id,
        **seen,
        "steps": total,
        "decided": said,
        "not_recorded": [] if ORDER_CHANGES.name in tables else _names(work, "orders_unpaid"),
    }


def _counts(at_us: int) -> list[Column]:
    """occasions, and of those that have come of age: whose person nobody knows, who refuses."""
    since, at = F.unix_micros("since_at"), F.lit(at_us)
    is_ripe = (since + F.col("after_us") <= at) & (since + F.col("expires_us") > at) & F.col("ended_at").isNull()
    return [
        F.count("*").alias("occasions"),
        F.count_if(is_ripe & F.col("person_id").isNull()).alias("nobody"),
        F.count_if(is_ripe & F.col("refuses")).alias("refused"),
    ]


def _names(work: Work, source: str) -> list[str]:
    return [rule.trigger.name for rule in work.rules if rule.trigger.source == source]


def _tables(work: Work) -> dict[str, DataFrame]:
    """Rows of the workspace of the time that is looked at; TerminalError where events or orders are missing."""
    wanted = {
        EVENTS: ("occurred_at", "occurred_date"),
        ORDERS: ("ordered_at", "ordered_date"),
        ORDER_CHANGES: ("changed_at", "changed_date"),
    }
    there = [table for table in wanted if delta.exists(work.lake, table)]
    if missing := [table.name for table in (EVENTS, ORDERS) if table not in there]:
        raise TerminalError(f"{work.lake.root}: found no tables {missing}; run migration or ingest first")
    return {table.name: _recent(work, table, *wanted[table]) for table in there}


def _recent(work: Work, table: Table, at: str, day: str) -> DataFrame:
    until = instant_of(work.run.at_us)
    is_recent = (F.col(at) >= F.lit(work.since)) & (F.col(at) < F.lit(until))
    days = (F.col(day) >= F.lit(work.since.date())) & (F.col(day) <= F.lit(until.date()))
    return delta.read(work.lake, table).where((F.col("workspace_id") == work.run.workspace) & days & is_recent)


def _occasions(work: Work, tables: dict[str, DataFrame]) -> Iterator[DataFrame]:
    yield from occasions.occasions_of_carts(tables[EVENTS.name], work.rules)
    if (changes := tables.get(ORDER_CHANGES.name)) is not None:
        yield from occasions.occasions_of_orders(changes, tables[ORDERS.name], work.rules)


def _ends(work: Work, tables: dict[str, DataFrame], people: DataFrame) -> DataFrame | None:
    if not _names(work, "carts"):
        return None
    ends = occasions.ends_of_carts(tables[ORDERS.name], tables[EVENTS.name], work.rules)
    known = with_person(ends, people, at="at").where(F.col("person_id").isNotNull())
    return known.select("person_id", F.explode("triggers").alias("trigger"), "at", "by")


def _steps(work: Work, found: DataFrame, ends: DataFrame | None, people: DataFrame) -> DataFrame:
    at_us, workspace = work.run.at_us, work.run.workspace
    states = work.scratch.keep(publication.states(work.lake, workspace, at_us=at_us), "states")
    known = found.where(F.col("person_id").isNotNull())
    ended = known if ends is None else deciding.with_ends(known, ends)
    looked_at = deciding.with_prior(ended, states).where(deciding.is_looked_at(at_us=at_us, before_us=work.before_us))
    days = sorted({rule.trigger.cap.days for rule in work.rules})
    told = _told(states, people, since_us=at_us - max(days) * _DAY_US)
    steps = deciding.decided(deciding.with_told(looked_at, told, days=days, at_us=at_us), at_us=at_us)
    own = [name for name in STEP if name != "snapshot_id"]
    return steps.select(*own).unionByName(deciding.withdrawn(states, known).select(*own))


def _told(states: DataFrame, people: DataFrame, *, since_us: int) -> DataFrame:
    """person_id, released_us of what was let go since then: of whoever holds the identifier of then now."""
    released = F.unix_micros("released_at")
    told = states.where(F.col("state").isin(*deciding.TOLD) & (released > F.lit(since_us)))
    known = with_person(told.select(*SUBJECT, "since_at", released.alias("released_us")), people, at="since_at")
    return known.where(F.col("person_id").isNotNull()).select("person_id", "released_us")


def _with_refusals(named: DataFrame, work: Work, settings: Settings, people: DataFrame) -> DataFrame:
    refusing = list(_refusing(work, settings, people))
    if not refusing:
        return named.withColumn("refuses", F.lit(False))
    every = reduce(DataFrame.unionByName, refusing).dropDuplicates().withColumn("refuses", F.lit(True))
    joined = named.join(every, on="person_id", how="left")
    return joined.withColumn("refuses", F.coalesce("refuses", F.lit(False)))


def _refusing(work: Work, settings: Settings, people: DataFrame) -> Iterator[DataFrame]:
    """person_id of those who refuse profiling, by the tag and by the notes that the settings name."""
    if settings.profiles is None:
        return
    registry: DataFrame | None = None
    if delta.exists(work.lake, PERSONS):
        registry = newest_at(delta.read(work.lake, PERSONS), ("person_id",), work.snapshot.at_us)
    if tag := settings.profiles.refusal_tag:
        yield refusals.living(_refusing_by_tag(work, tag, people), registry)
    if notes := noted(settings.profiles.url):
        yield refusals.of_notes(notes, people, registry, at_us=work.run.at_us)


def _refusing_by_tag(work: Work, tag: str, people: DataFrame) -> DataFrame:
    newest, workspace = _tags_in_force(work), work.run.workspace
    tags: dict[str, Any] = {} if newest is None else json.loads(newest["state"])["tags"]
    if newest is None or tag not in tags:
        raise TerminalError(
            f"{workspace} publishes no tag {tag!r}, which [profiles] refusal_tag names: nobody's refusal "
            "would be honoured; compute the tag first, or correct the setting"
        )
    version = delta.current_version(work.lake, PERSON_TAGS)
    # A generation goes once another is in force: where none is yet, this version has all rows.
    again = _tags_in_force(work)
    if again is None or again["generation"] != newest["generation"]:
        raise RetryableError(f"newer tags of {workspace} were published meanwhile; start this run again")
    of_workspace = F.col("workspace_id") == workspace
    rows = delta.read(work.lake, PERSON_TAGS, version=version).where(of_workspace)
    is_told = of_workspace & (F.col("tag") == tag) & (F.col("version") == tags[tag]["version"])
    told = delta.read(work.lake, TAG_VERSIONS).where(is_told).select("definition").limit(1).collect()
    if not told:
        raise TerminalError(f"{TAG_VERSIONS.name} does not tell of {tag!r} as it is in force; run the tags again")
    otherwise = json.loads(told[0]["definition"])["Tag"]["rule"]["Rule"]["otherwise"]
    mine = rows.where(F.col("generation") == newest["generation"])
    return by_tag(people.select("person_id").dropDuplicates(), mine, tag, otherwise)


def _tags_in_force(work: Work) -> Row | None:
    """generation, state of the workspace's newest publication of tags; None before the first."""
    if not delta.exists(work.lake, TAG_PUBLICATIONS):
        return None
    is_state = (F.col("workspace_id") == work.run.workspace) & (F.col("kind") == "current")
    published = delta.read(work.lake, TAG_PUBLICATIONS).where(is_state)
    found = published.orderBy(F.desc("number")).limit(1).select("generation", "state").collect()
    return found[0] if found else None
