"""The main job: history moves in while live events arrive, people get one id and tags, Trino answers, all is proved."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from services.demo import asking, export
from services.demo.display import Board
from services.demo.jobs import Job, Jobs, started_jobs
from services.demo.memory import MemoryWatch
from services.demo.options import BASE, WORKSPACE, Options, begin_anew, require_inputs
from services.demo.proof import Check, case_of, prove
from services.demo.quality import score
from services.embedded.stack import EmbeddedStack, Manner
from services.setup import paths
from spark_jobs.contracts.core import ORDER_LINES
from spark_jobs.errors import RetryableError
from trino_catalog.connection import connected

MIGRATION_JOB = paths.REPO / "services" / "demo" / "mappings" / "job.yaml"
# Slower than the producer can: history has to be on its way while these events arrive.
LIVE_PER_S = 2_500
_COPIED = "step copy:"  # said by the migration when all of history is copied
_TABLES_S = 120.0
_DERIVED_S = 3600.0

STAGES = (
    "Kafka and Trino start",
    "the old system exports its files",
    "the stream starts",
    "the old files answer in Trino",
    "history moves in, is verified, readers switch",
    "live events are sent meanwhile",
    "the stream takes in what has arrived",
    "a row is planted missing",
    "one id for every person, visits, tags",
    "tables and views in Trino",
    "ten business questions",
    "proof and identity quality",
)


@dataclass(slots=True)
class Outcome:
    """What a run did and found; the page, the summary and the tests read it."""

    options: Options
    expected: dict[str, Any] = field(default_factory=dict)
    migration: dict[str, Any] = field(default_factory=dict)
    live: dict[str, Any] = field(default_factory=dict)
    overlap_s: float = 0.0
    batch: dict[str, dict[str, Any]] = field(default_factory=dict)
    ingested: dict[str, int] = field(default_factory=dict)
    answers: list[asking.Answered] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    quality: dict[str, Any] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    peak_memory_mb: int = 0

    @property
    def is_proved(self) -> bool:
        """True where every figure is the same on both sides."""
        return bool(self.checks) and all(check.holds for check in self.checks)


@dataclass(frozen=True, slots=True)
class Stage:
    """What every stage works with."""

    options: Options
    board: Board
    stack: EmbeddedStack
    jobs: Jobs
    outcome: Outcome


def run(options: Options, console: Console) -> Outcome:
    """Run all stages; everything that was started is stopped at the end, whatever the reason."""
    began = time.monotonic()
    outcome = Outcome(options)
    require_inputs(options)
    begin_anew(options)
    memory = MemoryWatch()
    with memory.watching(), Board(console, _titles(options)) as board:
        starting = board.begin(STAGES[0])
        with (
            EmbeddedStack(options.data, manner=Manner(waits=False)) as stack,
            started_jobs(stack.settings_path, stack.layout.logs) as jobs,
        ):
            stage = Stage(options, board, stack, jobs, outcome)
            _export(stage)
            stack.wait("Kafka")
            stream = _start_stream(stage)
            stack.wait("Trino")
            board.end(starting)
            _move_in(stage, stream)
            _ask(stage)
        outcome.stages = {title: one.seconds for title, one in board.stages.items()}
    outcome.seconds, outcome.peak_memory_mb = time.monotonic() - began, memory.peak_mb
    return outcome


def _titles(options: Options) -> tuple[str, ...]:
    return tuple(title for title in STAGES if options.plants_missing_row or title != STAGES[7])


def _export(stage: Stage) -> None:
    said = [""]
    with stage.board.stage(STAGES[1], lambda: said[-1]) as shown:
        options = stage.options
        stage.outcome.expected = export.export(
            options.files, seed=options.seed, sample=options.sample, progress=said.append
        )
        shown.rows = int(stage.outcome.expected["transactions"]["read"])
        shown.note = "purchases are real; identifiers, visits and members who never bought are simulated"


def _start_stream(stage: Stage) -> Job:
    """The stream and, in its session once it has ended, the batch jobs: starting Spark costs more than either."""
    tags = ["tags", "--workspace", WORKSPACE, "--base", f"{BASE:%Y-%m-%dT%H:%M:%S}", "--json"]
    chain = ["ingest", "--json", "+", "identity", "--json", "+", "sessions", "--json", "+", *tags]
    with stage.board.stage(STAGES[2]):
        stream = stage.jobs.start("ingest", ["spark_jobs", *chain])
        log = Path(f"{stage.stack.layout.lake}/{ORDER_LINES.name.replace('.', '/')}/_delta_log")
        _wait_for(lambda: any(log.glob("*.json")), stream, what="the stream's tables")
    return stream


def _wait_for(holds: Callable[[], bool], job: Job, *others: Job, what: str, most_s: float = _TABLES_S) -> None:
    """Return once it holds, by the work of `job`; one of the jobs that fails meanwhile ends the demo at once."""
    until = time.monotonic() + most_s
    while not holds():
        for one in (job, *others):
            if not one.is_running():
                one.result()  # raises with its last words
        if time.monotonic() > until:
            raise RetryableError(f"{what} did not appear within {most_s:.0f} s; see {job.log}")
        time.sleep(0.2)


def _first_moment(holds: Callable[[], bool], job: Job) -> float:
    """When it first held while the job ran; infinity where it never did."""
    while job.is_running():
        if holds():
            return time.monotonic()
        time.sleep(0.2)
    return math.inf


def _move_in(stage: Stage, stream: Job) -> None:
    board, jobs, files = stage.board, stage.jobs, stage.options.files
    with board.stage(STAGES[3]):
        jobs.run("legacy", ["trino_catalog.apply", "--legacy", str(files / "export")])
    arguments = ["--job", str(MIGRATION_JOB), "--source", str(files / "export"), "--cutover", "--json"]
    history = jobs.start("migration", ["migration", "run", *arguments])
    moving = board.begin(STAGES[4], history.last_line)
    # Live events are sent while history is on its way, not while Spark is starting.
    _wait_for(lambda: history.said(": copied "), history, stream, what="the first copied chunk")
    _send_live(stage, history)
    # What people did is complete then; that old and new side answer the same is looked at meanwhile.
    is_derived = partial(history.said, "step derive:")
    _wait_for(is_derived, history, stream, what="events made of history", most_s=_DERIVED_S)
    _drain(stage, stream)
    board.begin(STAGES[8], stream.last_line)
    (stage.outcome.migration,) = history.result()
    moving.rows = stage.outcome.migration["read"]
    board.end(moving)
    if stage.options.plants_missing_row:
        with board.stage(STAGES[7]) as planted:
            planted.note = str(jobs.run("planting", ["services.demo.planting"])[0])
    _compute(stage, stream)


def _send_live(stage: Stage, history: Job) -> None:
    board, outcome = stage.board, stage.outcome
    producer = ["--input", str(stage.options.files / "live" / "events.jsonl"), "--rate", str(LIVE_PER_S)]
    live = stage.jobs.start("live", ["services.demo.live", *producer])
    sending = board.begin(STAGES[5], live.last_line)
    copied_at = _first_moment(lambda: history.said(_COPIED), live)
    (outcome.live,) = live.result()
    ended_at = time.monotonic()
    sending.rows = outcome.live["sent"]
    board.end(sending)
    outcome.overlap_s = max(0.0, min(copied_at, ended_at) - (ended_at - outcome.live["seconds"]))


def _drain(stage: Stage, stream: Job) -> None:
    with stage.board.stage(STAGES[6], stream.last_line) as draining:
        stream.end()
        _wait_for(lambda: bool(stream.answers()), stream, what="the end of the stream")
        draining.rows = stage.outcome.live["sent"]


def _compute(stage: Stage, batch: Job) -> None:
    facts = dict(zip(("ingest", "identity", "sessions", "tags"), batch.result(), strict=True))
    stage.outcome.batch = facts
    computing = stage.board.stages[STAGES[8]]
    computing.rows = facts["identity"].get("identifiers")
    stage.board.end(computing)
    with stage.board.stage(STAGES[9]):
        stage.jobs.run("apply", ["trino_catalog.apply"])


def _ask(stage: Stage) -> None:
    outcome, options = stage.outcome, stage.options
    with connected(stage.stack.trino_url) as trino:
        with stage.board.stage(STAGES[10]):
            outcome.answers = asking.ask_all(trino)
            outcome.ingested = asking.ask_ingested(trino)
        with stage.board.stage(STAGES[11]) as proving:
            outcome.checks = prove(case_of(options), trino)
            outcome.quality = score(trino, stage.jobs, options)
            proving.note = f"{sum(check.holds for check in outcome.checks)} of {len(outcome.checks)} figures equal"
