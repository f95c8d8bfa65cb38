"""Compute the audiences of a workspace from its published tags, record who came and went, publish all in one commit."""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from spark_jobs.audiences import computing, publications
from spark_jobs.audiences.changes import changes_of, moved_tags
from spark_jobs.audiences.definitions import Audience
from spark_jobs.audiences.evaluating import STATE, Build
from spark_jobs.audiences.publications import Basis, Publication, TagsState, Told
from spark_jobs.audiences.questions import questions_of
from spark_jobs.audiences.reading import folder_of, read_audiences
from spark_jobs.audiences.standing import (
    Refusals,
    audiences_in_force,
    publications_of_tags,
    refusals_known,
    tags_in_force,
)
from spark_jobs.contracts.audiences import AUDIENCE_CHANGES, AUDIENCE_PUBLICATIONS, AUDIENCES, PERSONS, REFUSED
from spark_jobs.contracts.derived import PERSON_TAGS, TAG_CHANGES
from spark_jobs.contracts.identity import IDENTITY_MAP
from spark_jobs.contracts.identity import PERSONS as REGISTRY
from spark_jobs.errors import RetryableError, TerminalError
from spark_jobs.people.refusing import by_notes
from spark_jobs.people.system_time import known_at, moment, newest_at
from spark_jobs.settings import Settings
from spark_jobs.storage import delta, generations, runs
from spark_jobs.storage.delta import Lake, Transaction

log = logging.getLogger(__name__)

OWN_TABLES = (AUDIENCES, AUDIENCE_CHANGES, AUDIENCE_PUBLICATIONS)


@dataclass(frozen=True, slots=True)
class Work:
    """What every step of a run needs; `before` is the publication in force, None for the first."""

    lake: Lake
    workspace: str
    state: TagsState
    audiences: tuple[Audience, ...]
    told: dict[str, Told]
    refusals: Refusals
    before: Publication | None
    generation: str

    @property
    def number(self) -> int:
        """The number that the run aims at."""
        return self.before.number + 1 if self.before else 1

    @property
    def base_at(self) -> Column:
        """The moment for which the tags hold."""
        return moment(round(self.state.base_at.timestamp() * 1_000_000))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Whose audiences, by which definitions."""
    parser.add_argument("--workspace", required=True, metavar="NAME", help="workspace whose audiences are computed")
    parser.add_argument("--audiences", metavar="DIR", type=Path, help="definitions; default: the shipped ones")


def preflight(settings: Settings, args: argparse.Namespace) -> None:
    """Refuse, before Spark starts, a workspace or a folder that is not there."""
    settings.workspace(args.workspace)
    if args.audiences is not None and not args.audiences.is_dir():
        raise TerminalError(f"found no folder {args.audiences}; wanted one with definitions of audiences")


def run(spark: SparkSession, settings: Settings, args: argparse.Namespace) -> dict[str, object]:
    """Compute and write, then publish in one commit; a run that finds nothing new publishes nothing."""
    lake, workspace = Lake(spark, settings.storage_root), settings.workspace(args.workspace).name
    if not folder_of(args.audiences, workspace).is_dir():  # of a workspace that has none, daily runs go on
        snapshot_id = tags_in_force(lake, workspace).snapshot_id
        return {"workspace": workspace, "snapshot_id": snapshot_id, "changed": False, "audiences": 0}
    with runs.recorded(lake, "audience-build", workspace) as record:
        work = _prepared(lake, settings, folder_of(args.audiences, workspace), workspace, run_id=record.run_id)
        standing = work.before if work.before and work.before.basis == _basis(work) else None
        done = standing or _compute(work)
        _forget(work)
        record.rows_in, record.rows_out = done.persons + done.refused, done.persons
        record.detail = {"generation": done.generation, "number": done.number, "tags_number": done.tags_number}
    log.info("audiences of %s: publication %d, %d persons", workspace, done.number, done.persons)
    return {
        **record.detail,
        "workspace": workspace,
        "snapshot_id": done.snapshot_id,
        "base_at": work.state.base_at.isoformat(),
        "changed": standing is None,
        "persons": done.persons,
        "refused": done.refused,
        "changes": 0 if standing else done.changes,
        "audiences": len(done.audiences),
        "sizes": done.shown,
    }


def _prepared(lake: Lake, settings: Settings, folder: Path, workspace: str, *, run_id: str) -> Work:
    state = tags_in_force(lake, workspace)
    for table in OWN_TABLES:
        delta.ensure(lake, table)
    audiences = read_audiences(folder, state.tags)
    # Behind the tags: a state that another run published meanwhile is of these tags, or of newer ones.
    before = audiences_in_force(lake, workspace)
    if before is not None and before.tags_number > state.number:
        raise RetryableError(
            f"audiences of {workspace} stand on publication {before.tags_number} of tags already, this run read "
            f"{state.number}: another run was faster; start it again"
        )
    # Behind that: who was left out of what is published is left out here, or took the refusal back.
    refusals = refusals_known(settings, state)
    number = before.number + 1 if before else 1
    told = publications.told_of(audiences, state, refusals.text)
    generation = publications.generation_of(number, run_id)
    return Work(lake, workspace, state, audiences, told, refusals, before, generation)


def _basis(work: Work) -> Basis:
    versions = {name: (told.version, told.classes) for name, told in work.told.items()}
    return Basis(work.state.number, work.state.generation, work.refusals.text, versions)


def _compute(work: Work) -> Publication:
    build = _build(work)
    results = computing.results_of(_pieces(work, build), build).persist()
    try:
        counted = {(row["kind"], row["audience"]): row for row in computing.sizes_of(results).collect()}
        _write_states(results, work)
        changes = sum(row["persons"] for (kind, _), row in counted.items() if kind != STATE)
        _write_changes(results, work, wanted=changes)
    finally:
        results.unpersist()
    sizes = {name: (row["persons"], row["unknown"]) for (kind, name), row in counted.items() if kind == STATE}
    told = {
        name: replace(one, persons=sizes.get(name, (0, 0))[0], unknown=sizes.get(name, (0, 0))[1])
        for name, one in work.told.items()
    }
    state = work.state
    done = Publication(
        workspace=work.workspace,
        generation=work.generation,
        number=work.number,
        tags_number=state.number,
        tags_generation=state.generation,
        base_at=state.base_at,
        snapshot_id=state.snapshot_id,
        persons=sizes.get(PERSONS, (0, 0))[0],
        refused=sizes.get(REFUSED, (0, 0))[0],
        changes=changes,
        refusals=work.refusals.text,
        audiences=told,
    )
    _publish(done, work)
    return done


def _build(work: Work) -> Build:
    rules = {audience.name: audience.rule for audience in work.audiences}
    known = dict(work.before.audiences) if work.before else {}
    return Build(
        work.audiences,
        questions_of(work.audiences, work.state.tags, refusal_tag=work.refusals.tag),
        work.refusals.tag,
        frozenset(known),
        frozenset(name for name, told in known.items() if rules.get(name) != told.rule),
    )


def _pieces(work: Work, build: Build) -> DataFrame:
    """All bitmaps that the chunks are evaluated from."""
    lake, state = work.lake, work.state
    held = computing.held_at(known_at(delta.read(lake, IDENTITY_MAP), state.snapshot_us), work.base_at)
    rows = _rows_of_tags(work).where(F.col("tag").isin(*build.questions.tags))
    pieces = [computing.pieces_of_tags(rows, build.questions), computing.pieces_of_persons(held)]
    if work.refusals.notes:
        registry = newest_at(delta.read(lake, REGISTRY), ["person_no"], state.snapshot_us)
        pieces.append(computing.pieces_of_refusals(by_notes(work.refusals.notes, held, registry)))
    if work.before:
        condition = publications.of_generations(work.workspace, [work.before.generation])
        pieces.append(computing.pieces_of_before(delta.read(lake, AUDIENCES).where(condition)))
    return reduce(DataFrame.unionByName, pieces)


def _rows_of_tags(work: Work) -> DataFrame:
    """The rows of the generation of tags; RetryableError where some are gone, because newer states came meanwhile."""
    state = work.state
    version = delta.current_version(work.lake, PERSON_TAGS)
    condition = publications.of_generations(work.workspace, [state.generation])
    rows = delta.read(work.lake, PERSON_TAGS, version=version).where(condition)
    if (found := rows.count()) != state.rows:
        raise RetryableError(
            f"generation {state.generation} of tags has {found:,} rows, wanted {state.rows:,}: newer states were "
            "published meanwhile; start the build again, and it takes the newest"
        )
    return rows


def _write_states(results: DataFrame, work: Work) -> None:
    rows = _labelled(computing.states_in(results), work)
    # A reader of some audiences reads the pages of those: they stand together, in the order of their persons.
    packed = rows.hint("rebalance", "audience").sortWithinPartitions("workspace_id", "audience", "chunk")
    delta.append(packed, work.lake, AUDIENCES, once=_once(work))


def _write_changes(results: DataFrame, work: Work, *, wanted: int) -> None:
    """The feed of this publication; it must have as many rows as persons came and went."""
    tags = {audience.name: audience.tags for audience in work.audiences}
    registry = delta.read(work.lake, REGISTRY)
    found = changes_of(results, registry, _moved(work), tags, at_us=work.state.snapshot_us)
    rows = _labelled(found, work).withColumn("state_version", F.lit(work.number))
    delta.append(rows, work.lake, AUDIENCE_CHANGES, once=_once(work))
    written = delta.read(work.lake, AUDIENCE_CHANGES).where(
        publications.of_generations(work.workspace, [work.generation])
    )
    if (count := written.count()) != wanted:
        # A run that published meanwhile has deleted them; nothing of this one counts.
        raise RetryableError(
            f"{AUDIENCE_CHANGES.name}: {count:,} rows of generation {work.generation} are there, wanted {wanted:,}: "
            "did another run publish beside this one? Start the build again"
        )


def _moved(work: Work) -> DataFrame | None:
    """What changed of tags since the publication before."""
    if work.before is None:
        return None
    since, until = work.before.tags_number, work.state.number
    between = publications_of_tags(work.lake, work.workspace).where(
        (F.col("number") > since) & (F.col("number") <= until)
    )
    made = [row["generation"] for row in between.select("generation").collect()]
    used = sorted({tag for audience in work.audiences for tag in audience.tags})
    changes = delta.read(work.lake, TAG_CHANGES).where(
        (F.col("workspace_id") == work.workspace) & F.col("generation").isin(*made) & F.col("tag").isin(*used)
    )
    return moved_tags(changes)


def _labelled(rows: DataFrame, work: Work) -> DataFrame:
    """With what all rows of the generation carry, and what those of each audience do."""
    return rows.withColumns(
        {
            "workspace_id": F.lit(work.workspace),
            "generation": F.lit(work.generation),
            "base_at": work.base_at,
            "snapshot_id": F.lit(work.state.snapshot_id),
            "version": _each(work, "version"),
            "classes": _each(work, "classes"),
        }
    )


def _each(work: Work, name: str) -> Column:
    # What an audience lost that went, it lost with the last version that it had.
    told = {**(work.before.audiences if work.before else {}), **work.told}
    pairs = [F.lit(text) for audience, one in told.items() for text in (audience, str(getattr(one, name)))]
    return F.coalesce(F.create_map(*pairs)[F.col("audience")], F.lit(""))


def _publish(done: Publication, work: Work) -> None:
    """All that was written counts from this commit on; RetryableError where another run took the number."""
    row = work.lake.spark.createDataFrame([done.as_row(datetime.now(UTC))], AUDIENCE_PUBLICATIONS.ddl)
    writer = f"tags/audience_publications/{work.workspace}"
    within = f"workspace_id = '{work.workspace}'"
    generations.publish(row, work.lake, AUDIENCE_PUBLICATIONS, within=within, writer=writer)


def _forget(work: Work) -> None:
    """Delete what no reader needs any more, and what runs that died or lost left behind.

    Kept are the bitmaps of the state in force and of the one before it, which somebody may be reading.
    """
    published = delta.read(work.lake, AUDIENCE_PUBLICATIONS).where(F.col("workspace_id") == work.workspace)
    states = published.orderBy(F.desc("number")).limit(2).collect()
    kept, newest = [row["generation"] for row in states], states[0]["number"]
    generations.forget(work.lake, AUDIENCES, publications.leftovers(work.workspace, newest, kept))
    late = (F.col("state_version") > newest - publications.NUMBERS_LOOKED_AT) & (F.col("state_version") <= newest)
    found = delta.read(work.lake, AUDIENCE_CHANGES).where((F.col("workspace_id") == work.workspace) & late)
    lost = found.select("generation").distinct().join(published, "generation", "left_anti").collect()
    if dead := [row["generation"] for row in lost if row["generation"] is not None]:
        generations.forget(work.lake, AUDIENCE_CHANGES, publications.of_generations(work.workspace, dead))


def _once(work: Work) -> Transaction:
    return Transaction(f"tags/audiences/{work.generation}", 1)
