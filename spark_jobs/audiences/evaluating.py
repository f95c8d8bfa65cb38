"""One chunk of persons: the bitmaps of questions become audiences, and the difference from the state before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
from pyroaring import BitMap

from spark_jobs.audiences.algebra import Truth, World, truth_of
from spark_jobs.audiences.definitions import Audience
from spark_jobs.audiences.pieces import BEFORE, PERSONS_PART, REFUSED_PART, part_of
from spark_jobs.audiences.questions import HasRow, HasValue, Question, Questions
from spark_jobs.contracts.audiences import PERSONS, REFUSED
from spark_jobs.people.bitmaps import packed, unpacked
from spark_jobs.settings import REFUSING

# kind: `state`, or `enter` and `exit` with a cause; unknown: of states, persons of whom membership is unknown.
RESULT_DDL = "kind string, cause string, audience string, chunk bigint, members binary, persons bigint, unknown bigint"
_RESULT = pa.schema(
    [
        ("kind", pa.string()),
        ("cause", pa.string()),
        ("audience", pa.string()),
        ("chunk", pa.int64()),
        ("members", pa.binary()),
        ("persons", pa.int64()),
        ("unknown", pa.int64()),
    ]
)
STATE, ENTER, EXIT = "state", "enter", "exit"


@dataclass(frozen=True, slots=True)
class Build:
    """What all chunks are evaluated by.

    audiences: each behind those that it uses. before: names of the audiences of the state before. redefined: those of
    them whose rule is another now, or that went.
    """

    audiences: tuple[Audience, ...]
    questions: Questions
    refusal_tag: str
    before: frozenset[str]
    redefined: frozenset[str]


@dataclass(frozen=True, slots=True)
class Moved:
    """Persons and refusals of one chunk, before and now."""

    persons_before: BitMap
    refused_before: BitMap
    persons: BitMap
    refused: BitMap


def evaluating(build: Build) -> Callable[[pa.Table], pa.Table]:
    """For `applyInArrow` by chunk. In: rows of PIECES_DDL, all of one chunk. Out: rows of RESULT_DDL."""

    def kernel(table: pa.Table) -> pa.Table:
        chunk = table.column("chunk")[0].as_py()
        rows = [
            {**row, "chunk": chunk, "members": packed(members), "persons": len(members)}
            for row, members in _results(_united(table), build)
        ]
        return pa.Table.from_pylist(rows, schema=_RESULT)

    return kernel


def _united(table: pa.Table) -> dict[str, BitMap]:
    held: dict[str, BitMap] = {}
    for part, content in zip(table.column("part").to_pylist(), table.column("members").to_pylist(), strict=True):
        members = unpacked(content)
        held[part] = held[part] | members if part in held else members
    return held


def _results(held: Mapping[str, BitMap], build: Build) -> Iterator[tuple[dict[str, object], BitMap]]:
    answers = {
        question: held[part_of(number)]
        for number, question in enumerate(build.questions.every)
        if part_of(number) in held
    }
    everybody = held.get(PERSONS_PART, BitMap())
    refused = _refused(held, answers, everybody, build)
    world = World(build.questions, everybody - refused, answers)
    for audience in build.audiences:
        world.audiences[audience.name] = truth_of(audience.members, world)
    states = {
        **world.audiences,
        PERSONS: Truth(world.persons, BitMap()),
        REFUSED: Truth(refused, BitMap()),
    }
    for name, truth in states.items():
        if truth.yes or truth.unknown:
            yield {"kind": STATE, "cause": "", "audience": name, "unknown": len(truth.unknown)}, truth.yes
    nobody = BitMap()
    moved = Moved(held.get(BEFORE + PERSONS, nobody), held.get(BEFORE + REFUSED, nobody), world.persons, refused)
    for name in sorted({*world.audiences, *build.before}):
        now = world.audiences[name].yes if name in world.audiences else nobody
        for kind, cause, members in _changes(name, held.get(BEFORE + name, nobody), now, moved=moved, build=build):
            if members:
                yield {"kind": kind, "cause": cause, "audience": name, "unknown": 0}, members


def _refused(held: Mapping[str, BitMap], answers: Mapping[Question, BitMap], everybody: BitMap, build: Build) -> BitMap:
    refused = held.get(REFUSED_PART, BitMap())
    if build.refusal_tag:
        nobody, tag = BitMap(), build.refusal_tag
        refused = refused | answers.get(Question(tag, HasValue(REFUSING)), nobody)
        if build.questions.tags[tag].otherwise == REFUSING:
            refused = refused | (everybody - answers.get(Question(tag, HasRow()), nobody))
    return refused & everybody


def _changes(
    name: str, before: BitMap, now: BitMap, *, moved: Moved, build: Build
) -> Iterator[tuple[str, str, BitMap]]:
    """kind, cause and persons of each way in which somebody came or went; each person is in one of them at most."""
    entered, left = now - before, before - now
    if name not in build.before:
        yield ENTER, "first", entered
        return
    otherwise = "definition" if name in build.redefined else "tags"
    yield ENTER, "refusal", entered & moved.refused_before
    others = entered - moved.refused_before
    yield ENTER, "identity", others - moved.persons_before
    yield ENTER, otherwise, others & moved.persons_before
    yield EXIT, "refusal", left & moved.refused
    others = left - moved.refused
    yield EXIT, "identity", others - moved.persons
    yield EXIT, otherwise, others & moved.persons
