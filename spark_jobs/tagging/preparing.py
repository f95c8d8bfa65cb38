"""What running and estimating tags have in common: what is read, and the answers of everybody, kept for a while."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from spark_jobs.contracts.identity import IDENTITY_MAP
from spark_jobs.contracts.tables import table_named
from spark_jobs.errors import TerminalError
from spark_jobs.storage import delta
from spark_jobs.storage.commits import newest_commits
from spark_jobs.storage.delta import Lake
from spark_jobs.storage.snapshots import Snapshot, published_map, published_snapshot
from spark_jobs.tagging.asking import in_force
from spark_jobs.tagging.computing import answers_from, buckets_from, limits_from, persons_from, populations_from
from spark_jobs.tagging.definitions import Catalogue
from spark_jobs.tagging.drift import Attempt, Finding, Shares, findings_of
from spark_jobs.tagging.facts import facts_of
from spark_jobs.tagging.limits import Limits, Moved, moved_since
from spark_jobs.tagging.moment import Moment
from spark_jobs.tagging.plan import Plan, compile_plan
from spark_jobs.tagging.publications import Kind, Labels, Publication, generation_of, kind_of, populations_of
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

    @property
    def kind(self) -> Kind:
        """Whether what is computed replaces the state in force."""
        return kind_of(self.state, self.before)

    @property
    def number(self) -> int:
        """The number that the run aims at."""
        return self.before.number + 1 if self.before else 1

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
    """

    facts: DataFrame
    answers: DataFrame
    limits: Limits
    moved: Moved | None
    populations: dict[str, dict[str, int]]
    persons: int
    rows: int
    findings: tuple[Finding, ...]


def prepared(lake: Lake, catalogue: Catalogue, moment: Moment, *, run_id: str, clock: Clock) -> Work:
    """What is read, and what it would be published as; TerminalError where tables are missing. Writes nothing."""
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
    state = state_of(catalogue, moment, snapshot_id=snapshot.snapshot_id, stamps=stamps)
    before = in_force(lake, catalogue.workspace)
    generation = generation_of(kind_of(state, before), before.number + 1 if before else 1, run_id)
    return Work(lake, catalogue, plan, moment, snapshot, stamps, state, before, generation, clock)


@contextmanager
def computed(work: Work) -> Iterator[Computed]:
    """The answers of everybody, kept until the block ends."""
    clock = work.clock
    tables = {name: _read_from(work, name, _version(stamp)) for name, stamp in work.stamps.items()}
    facts = facts_of(tables, work.plan, work.moment, workspace=work.state.workspace).persist()
    with clock.step("facts"):
        buckets = buckets_from(facts, work.plan, work.moment).collect()
        persons, limits = persons_from(buckets), limits_from(buckets, work.plan)
    is_state = work.before is not None and work.kind == "current"
    moved = moved_since(work.before.limits, limits, work.plan) if work.before and is_state else None
    answers = answers_from(facts, work.plan, work.moment, limits, moved=moved).persist()
    try:
        with clock.step("answers"):
            banded = {
                n: [value for value, _, _ in tag.expect] for n, tag in enumerate(work.catalogue.tags) if tag.expect
            }
            counted = populations_from(answers, most=MOST_VALUES_SHOWN, also=banded).collect()
        populations = populations_of(work.catalogue, counted, persons, most=MOST_VALUES_SHOWN)
        rows = sum(row["count"] for row in counted if row["value"] is None)
        findings = _findings(work, populations, persons)
        yield Computed(facts, answers, limits, moved, populations, persons, rows, findings)
    finally:
        answers.unpersist()
        facts.unpersist()


def _findings(work: Work, populations: dict[str, dict[str, int]], persons: int) -> tuple[Finding, ...]:
    if work.kind != "current":
        return ()
    now, before = Shares(populations, persons, MOST_VALUES_SHOWN), work.before
    known = Shares(before.populations, before.persons, MOST_VALUES_SHOWN) if before else None
    return findings_of(work.catalogue, now, known, work.attempt)


def _read_from(work: Work, name: str, version: int) -> DataFrame:
    if name == IDENTITY_MAP.name:
        return published_map(work.lake, work.snapshot, version=version)
    return delta.read(work.lake, table_named(name), version=version)


def _version(stamp: str) -> int:
    return int(stamp.partition("@")[0])
