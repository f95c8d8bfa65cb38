"""Rows by class against a filter of each row; pieces of whole persons."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from spark_jobs.tagging import dispatch
from spark_jobs.tagging.dispatch import classes_of, passes_text
from spark_jobs.tagging.frames import Codes, whole_persons
from spark_jobs.tagging.measures import Filter, Selection
from spark_jobs.tagging.plan import Bins, SourcePlan

STORES, LINES = ("a", "b", "c", "d"), tuple(f"line-{n}" for n in range(40))
LIMITS = (10, 20, 30)
FILTERS = (
    Filter("store", "in", ("a", "c")),
    Filter("store", "not_in", ("b",)),
    Filter("store", "present", (False,)),
    Filter("line", "in", ("line-3",)),
    Filter("line", "not_in", LINES[:30]),
    Filter("value", "above", (20,), is_number=True),
    Filter("value", "at_most", (30,), is_number=True),
    Filter("value", "present", (True,), is_number=True),
)

Row = tuple[str | None, str | None, int | None]


def plan_of(wanted: list[tuple[Filter, ...]]) -> SourcePlan:
    selections = tuple(Selection("purchase_lines", where) for where in wanted)
    return SourcePlan("purchase_lines", ("line", "store"), (), selections, (), (Bins("value", LIMITS),))


def position(value: int | None) -> str | None:
    return None if value is None else str(sum((value >= limit) + (value > limit) for limit in LIMITS))


def passes(row: Row, wanted: Filter) -> bool:
    """What the filter says in words, of the row itself."""
    store, line, value = row
    if not wanted.is_number:
        return passes_text(wanted, store if wanted.field == "store" else line)
    if wanted.kind == "present":
        return (value is not None) is wanted.operands[0]
    limit = int(wanted.operands[0])
    return value is not None and (value > limit if wanted.kind == "above" else value <= limit)


@pytest.mark.parametrize("most_pieces", [0, 3, 64])
@pytest.mark.parametrize("few", [4, 2**16])
@pytest.mark.parametrize("seed", range(4))
def test_the_rows_of_passing_classes_are_those_that_pass(
    monkeypatch: pytest.MonkeyPatch, seed: int, few: int, most_pieces: int
) -> None:
    monkeypatch.setattr(dispatch, "_MOST_PIECES", most_pieces)
    monkeypatch.setattr(dispatch, "_FEW", few)
    chance = random.Random(seed)
    rows: list[Row] = [
        (chance.choice([*STORES, None]), chance.choice([*LINES, None]), chance.choice([None, *range(8, 34)]))
        for _ in range(chance.choice([0, 1, 30, 400]))
    ]
    columns = [
        Codes.of(pa.array(texts, type=pa.string()))
        for texts in ([row[1] for row in rows], [row[0] for row in rows], [position(row[2]) for row in rows])
    ]
    wanted = [tuple(chance.sample(FILTERS, chance.randrange(4))) for _ in range(30)]
    mine = np.array([n for n in range(len(rows)) if chance.random() < 0.8], dtype=np.intp)
    classes = classes_of(mine, [(one.codes, one.values) for one in columns], plan_of(wanted))
    for where in wanted:
        expected = [n for n in mine.tolist() if all(passes(rows[n], one) for one in where)]
        assert classes.passing(where).tolist() == expected, where


def test_a_filter_that_nobody_asks_for_tells_no_rows_apart() -> None:
    codes = Codes.of(pa.array(["a", "b", "a"]))
    plan = replace(plan_of([()]), texts=("store",))
    assert len(classes_of(np.arange(3), [(codes.codes, codes.values)], plan).begins) == 2


@pytest.mark.parametrize("least", [1, 3, 7, 1000])
@pytest.mark.parametrize("seed", range(6))
def test_pieces_hold_whole_persons_and_all_rows_in_order(seed: int, least: int) -> None:
    chance = random.Random(seed)
    some = [chance.randrange(20) for _ in range(chance.randrange(60))]
    persons = sorted([*some, *[7] * chance.choice([0, 25])])  # one of them fills batches alone
    columns = {"person_no": pa.array(persons, type=pa.int64()), "n": pa.array(range(len(persons)), type=pa.int64())}
    whole = pa.RecordBatch.from_pydict(columns)
    batches, start = [], 0
    while start < len(persons):
        size = chance.randrange(6)
        batches.append(whole.slice(start, size))  # empty ones among them
        start += size
    pieces = list(whole_persons(batches, least=least))
    assert [n for piece in pieces for n in piece["n"].to_pylist()] == list(range(len(persons)))
    owners = [set(piece["person_no"].to_pylist()) for piece in pieces]
    assert sum(map(len, owners)) == len(set(persons)), "nobody is in two pieces"
    assert least < len(persons) or len(pieces) == min(1, len(persons))
