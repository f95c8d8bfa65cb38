"""What running and estimating tags have in common: what is read, and the answers of everybody, kept for a while."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark_jobs.contracts.identity import IDENTITY_MAP, PERSONS
from spark_jobs.contracts.tables import table_named
from spark_jobs.errors import TerminalError
from spark_jobs.people.refusals import Refusals
from spark_jobs.people.refusing import by_notes
from spark_jobs.people.system_time import moment as instant
from spark_jobs.people.system_time import newest_at
from spark_jobs.storage import delta
from spark_jobs.storage.commits import newest_commits
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import Snapshot, published_map, published_snapshot
from spark_jobs.tagging.asking import in_force
from spark_jobs.tagging.computing import (
    answers_from,
    buckets_from,
    limits_from,
    persons_from,
    populations_from,
    refusing_in,
)
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.drift import Attempt, Finding, Shares, findings_of
from spark_jobs.tagging.facts import facts_of
from spark_jobs.tagging.left_out import LeftOut, left_out_of
from spark_jobs.tagging.limits import Limits, Moved, moved_since
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan, compile_plan
from spark_jobs.tagging.publications import (
    Everybody,
    Kind,
    Labels,
    Publication,
    generation_of,
    kind_of,
    populations_of,
)
from spark_jobs.tagging.versions import State, state_of, tables_read

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
    """What every step of a run needs; `before` is the state in force, None for the workspace's first."""

    lake: Lake
    catalogue: Catalogue
    plan: Plan
    moment: Moment
    snapshot: Snapshot
    stamps: dict[str, str]
    state: State
    before: Publication | None
    generation: str
    clock: Clock
    refusals: Refusals

    @property
    def kind(self) -> Kind:
        """Whether what is computed replaces the state in force."""
        return kind_of(self.state, self.before)

    @property
    def number(self) -> int:
        """The number that the run aims at."""
        return self.before.number + 1 if self.before else 1

    def classes_of(self, tag: str, declared: Iterable[str]) -> tuple[str, ...]:
        """The classes that a tag is protected as: those of its definition, and those that it has in force."""
        return tuple(sorted({*declared, *(self.before.state.classes_of(tag) if self.before else ())}))

    @property
    def labels(self) -> Labels:
        """What the run's rows carry."""
        return Labels(self.generation, self.state, tuple(tag.name for tag in self.catalogue.tags))

    @property
    def attempt(self) -> Attempt:
        """The publication that is to be made."""
        return Attempt(self.state.workspace, self.number, self.state.base)


@dataclass(frozen=True, slots=True)
class Computed:
    """Facts and answers of everybody, and what was counted of them.

    rows: values that are not `otherwise`. findings: tags that left their bands; none of what replaces no state.
    refused: person_no, person_id of everybody who refuses profiling, with facts or without; None where nobody can.
    """

    facts: DataFrame
    answers: DataFrame
    limits: Limits
    moved: Moved | None
    populations: dict[str, dict[str, int]]
    persons: int
    rows: int
    findings: tuple[Finding, ...]
    refused: DataFrame | None = None
    refused_persons: int = 0


def prepared(
    lake: Lake, catalogue: Catalogue, moment: Moment, *, refusals: Refusals, run_id: str, clock: Clock
) -> Work:
    """What is read, and what it would be published as; TerminalError where tables are missing. Writes nothing."""
    left_out_of(catalogue, refusals.tag, ())
    plan = compile_plan(catalogue)
    names = tables_read(plan.sources)
    if missing := [name for name in names if not delta.exists(lake, table_named(name))]:
        raise TerminalError(
            f"{lake.root}: found no tables {missing}; run migration, ingest and identity first, or say under `history`"
            " of the catalogue that a source is not recorded (none)"
        )
    # Before the versions: the map's newest version holds every snapshot that was published before it.
    snapshot = published_snapshot(lake)
    stamps = {name: next(newest_commits(lake, table_named(name))).stamp for name in names}
    state = state_of(catalogue, moment, snapshot_id=snapshot.snapshot_id, stamps=stamps, refusals=refusals.text)
    before = in_force(lake, catalogue.workspace)
    generation = generation_of(kind_of(state, before), before.number + 1 if before else 1, run_id)
    return Work(lake, catalogue, plan, moment, snapshot, stamps, state, before, generation, clock, refusals)


@contextmanager
def computed(work: Work) -> Iterator[Computed]:
    """The answers of everybody, kept until the block ends."""
    clock = work.clock
    tables = {name: _read_from(work, name, _version(stamp)) for name, stamp in work.stamps.items()}
    facts = facts_of(tables, work.plan, work.moment, workspace=work.state.workspace).persist()
    noted = _noted(work, tables[IDENTITY_MAP.name])
    left_out = _left_out(work, noted)
    with clock.step("facts"):
        buckets = buckets_from(facts, work.plan, work.moment, left_out).collect()
        persons, limits = persons_from(buckets), limits_from(buckets, work.plan)
    is_state = work.before is not None and work.kind == "current"
    moved = moved_since(work.before.limits, limits, work.plan) if work.before and is_state else None
    answers = answers_from(facts, work.plan, work.moment, limits, moved=moved, left_out=left_out).persist()
    try:
        with clock.step("answers"):
            populations, rows = _populations(work, answers, persons, left_out)
        findings = _findings(work, populations, persons)
        found = Computed(facts, answers, limits, moved, populations, persons, rows, findings)
        yield found if left_out is None else _with_refused(found, noted)
    finally:
        answers.unpersist()
        facts.unpersist()
        if noted is not None:
            noted.unpersist()


def _populations(
    work: Work, answers: DataFrame, persons: int, left_out: LeftOut | None
) -> tuple[dict[str, dict[str, int]], int]:
    """Persons by tag and value, and how many values there are that are not `otherwise`."""
    banded = {n: [value for value, _, _ in tag.expect] for n, tag in enumerate(work.catalogue.tags) if tag.expect}
    counted = populations_from(answers, most=MOST_VALUES_SHOWN, also=banded).collect()
    refused = 0 if left_out is None else refusing_in(answers).count()
    everybody = Everybody(persons, refused, work.refusals.tag)
    rows = sum(row["count"] for row in counted if row["value"] is None)
    return populations_of(work.catalogue, counted, everybody, most=MOST_VALUES_SHOWN), rows


def _with_refused(found: Computed, noted: DataFrame | None) -> Computed:
    refused = refusing_in(found.answers)
    if noted is not None:  # a person whom a note means and a source knows is one
        refused = refused.unionByName(noted).dropDuplicates()
    return replace(found, refused=refused, refused_persons=refused.count())


def _noted(work: Work, identity_map: DataFrame) -> DataFrame | None:
    """person_no, person_id of whom notes mean at the base time, whether any source knows them or not."""
    if not work.refusals.notes:
        return None
    base = instant(work.state.base)
    held = identity_map.where((F.col("valid_from") <= base) & (F.col("valid_to") > base))
    registry: DataFrame | None = None
    if delta.exists(work.lake, PERSONS):
        registry = newest_at(delta.read(work.lake, PERSONS), ("person_id",), work.snapshot.at_us)
    return by_notes(work.refusals.notes, held, registry).persist()


def _left_out(work: Work, noted: DataFrame | None) -> LeftOut | None:
    # As many as there are notes, at most: each means one person.
    numbers = [] if noted is None else [int(row["person_no"]) for row in noted.select("person_no").collect()]
    return left_out_of(work.catalogue, work.refusals.tag, numbers)


def _findings(work: Work, populations: dict[str, dict[str, int]], persons: int) -> tuple[Finding, ...]:
    if work.kind != "current":
        return ()
    now, before = Shares(populations, persons, MOST_VALUES_SHOWN), work.before
    known = Shares(before.populations, before.persons, MOST_VALUES_SHOWN) if before else None
    found = findings_of(work.catalogue, now, known, work.attempt)
    return tuple(replace(one, classes=work.classes_of(one.tag, one.classes)) for one in found)


def _read_from(work: Work, name: str, version: int) -> DataFrame:
    if name == IDENTITY_MAP.name:
        return published_map(work.lake, work.snapshot, version=version)
    return delta.read(work.lake, table_named(name), version=version)


def _version(stamp: str) -> int:
    return int(stamp.partition("@")[0])
